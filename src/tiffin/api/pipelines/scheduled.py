"""`pipeline watch --to kubernetes`: a project's pipeline becomes a CronJob of a cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.abroad import elsewhere, refuse_abroad, services_of
from tiffin.api.pipelines.compile import graph_of
from tiffin.api.pipelines.watch import triggered
from tiffin.api.services.deploy import kinds_of, parse_version
from tiffin.api.services.deployed import FoundImage, bring, made, to_push
from tiffin.api.services.targets import KUBERNETES, Place, Where, choose, project_in
from tiffin.config.cron import Cron, said
from tiffin.config.pipeline import PipelineSection, is_tag
from tiffin.config.project import Project
from tiffin.deploy.compose import Served
from tiffin.deploy.kubernetes.manifests.cluster import Cluster, Surroundings
from tiffin.deploy.kubernetes.scheduled.objects import render as rendered
from tiffin.deploy.kubernetes.scheduled.pipeline import Mounted, Room, ScheduledPipeline, name_of
from tiffin.deploy.kubernetes.scheduled.times import Times, differences, times_every, times_of
from tiffin.deploy.target import Change
from tiffin.errors import ConfigError
from tiffin.oci.image import Image
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.meaning.needs import is_bounded, longest, room_of
from tiffin.progress import note, step

if TYPE_CHECKING:
    from tiffin.deploy.kubernetes.scheduled.keeping import ScheduledPipelines

EVERY = 15
"""Minutes between two looks at data, where nobody says."""
_OWN_MEMORY = 512 << 20
"""Bytes that tiffin itself may use beside the steps."""
_STARTING = 1800
"""Seconds that a pod may wait for a node, and its image be pulled, which a Job's deadline counts."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which pipeline goes where, and what was typed of how.

    `push` is the name by which its image goes to a registry, `state` a claim that keeps results, `data` what of the
    project's folder is on a claim (`PATH=CLAIM`), `login` the Secret with which steps pull and push, `every` the
    minutes between two looks at data. `having` is what a cluster of this `version` that is not asked is taken to have.
    """

    what: Path = Path()
    name: str = ""
    arguments: tuple[str, ...] = ()
    cache: str | None = None
    jobs: int = 0
    where: Where = Where(to=KUBERNETES)
    push: str = ""
    state: str = ""
    data: tuple[str, ...] = ()
    login: str = ""
    every: int = 0
    force: bool = False
    having: tuple[str, ...] = ()
    version: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline as a cluster is to keep it, where, and the image that it runs in."""

    pipeline: ScheduledPipeline
    place: Place
    found: FoundImage
    said: Surroundings


def is_cluster(where: Where, folder: Path) -> bool:
    """Whether a cluster is meant, and not a watcher on this machine."""
    project = project_in(folder)
    return choose(where, project.environment if project else {}, []).target == KUBERNETES


def keep(order: Order) -> ScheduledPipeline:
    """Have a cluster run a pipeline at its times from now on; its image is pushed first."""
    home, kept = Home.of(), _open(_meant(order)[0], order)
    decided = decide(order, home)
    bring(decided.found, decided.place, home, project=order.what)
    with step("apply", f"{decided.pipeline.name} to {decided.place}"):
        kept.keep(decided.pipeline, decided.said)
    _tell_next(decided.pipeline)
    return decided.pipeline


def plan(order: Order) -> Sequence[Change]:
    """Say what `keep` would do; of a cluster whose version is said, all that it would be sent."""
    decided = decide(order, Home.of())
    if order.version:
        from tiffin.deploy.kubernetes.changes import created

        return created(rendered(decided.pipeline, _unasked(decided, order)))
    return _open(decided.place, order).plan(decided.pipeline, decided.said)


def render(order: Order) -> str:
    """Return what a cluster of a version would be sent, as YAML; no cluster is asked."""
    from tiffin.deploy.kubernetes.manifests.files import to_yaml

    decided = decide(order, Home.of())
    return to_yaml(rendered(decided.pipeline, _unasked(decided, order)))


def render_into(order: Order, folder: Path) -> list[str]:
    """Write it as a base for kustomize, and return the files; those of an earlier one are written over."""
    from tiffin.deploy.kubernetes.manifests.files import write_base

    decided = decide(order, Home.of())
    return write_base(rendered(decided.pipeline, _unasked(decided, order)), folder)


def begin(order: Order) -> str:
    """Have the cluster begin a run now, and return its Job's name once it has a pod that runs."""
    place, name = _meant(order)
    return _open(place, order).begin(name)


def delete(order: Order) -> str:
    """Have a cluster run a pipeline no more, and return its name; a run of now is ended, and claims stay."""
    place, name = _meant(order)
    _open(place, order).delete(name)
    return name


def decide(order: Order, home: Home) -> Decided:
    """Put together what a cluster is to keep; raises ConfigError and UnsupportedError for what it cannot."""
    project = triggered(order.what)
    place = _place(order, project)
    push = _push_of(order, project, place)
    section = project.pipeline
    data = _mounted(order)
    times = _times(order, section)
    _refuse_what_never_changes(section, data)
    graph = graph_of(order.what, home, order.name)
    refuse_abroad(graph, project, place)
    for line in elsewhere(graph, project, place):
        note(line)
    _tell(order, section, graph)
    jobs = order.jobs or section.jobs or 1
    found = to_push(push, _image_of(order, home), home)
    about = made(found, Served())
    pipeline = ScheduledPipeline(
        name=name_of(project.name, order.name or section.name),
        project=project.name,
        image=about.image,
        digest=about.digest,
        user=about.user,
        times=times,
        words=_words(order, jobs, looks=bool(section.watch)),
        by_hand=_words(order, jobs, looks=False),
        room=_room(graph, jobs),
        seconds=_seconds(graph),
        state=order.state,
        data=data,
        login=order.login,
        services=services_of(graph),
        context=place.context,
    )
    return Decided(pipeline=pipeline, place=place, found=found, said=_said_of(place, project))


def _image_of(order: Order, home: Home) -> Image:
    """The image that has the project, its environment, and what runs its pipeline."""
    from tiffin.api.pipelines.image import keep_pipeline_image

    return keep_pipeline_image(order.what, home, order.name)


def _push_of(order: Order, project: Project, place: Place) -> str:
    """The name by which the pipeline's image goes to a registry."""
    section = project.environment.get(place.environment)
    push = order.push or (section.over(project.deploy) if section else project.deploy).push
    if not push:
        raise ConfigError(
            "a cluster pulls the pipeline's image from a registry, and nobody says which",
            f"say where it goes: `--push REGISTRY/{project.name}`, or `[deploy] push` in tiffin.toml",
        )
    return push


def _place(order: Order, project: Project) -> Place:
    place = choose(order.where, project.environment, [])
    if place.target != KUBERNETES:
        raise ConfigError(f"{place} is no cluster", "`tiffin pipeline watch` watches here")
    return place


def _meant(order: Order) -> tuple[Place, str]:
    """Where a pipeline is, and what it is called there."""
    project = triggered(order.what)
    return _place(order, project), name_of(project.name, order.name or project.pipeline.name)


def _times(order: Order, section: PipelineSection) -> Times:
    """When a CronJob comes: at the schedule's times, or, where data is watched, often enough to see it."""
    if section.watch:
        if not order.state:
            raise ConfigError(
                "what `[pipeline] watch` has seen is remembered from one look to the next, and nothing keeps it",
                "name a PersistentVolumeClaim: `--state CLAIM`; or have a `schedule` alone",
            )
        return times_every(order.every or EVERY)
    if order.every:
        raise ConfigError(
            "`--every` says how often data is looked at, and `[pipeline] watch` names none", "leave `--every` out"
        )
    cron = Cron.parse(section.schedule)
    times = times_of(cron, section.time_zone)
    for line in differences(cron, times):
        note(line)
    return times


def _mounted(order: Order) -> tuple[Mounted, ...]:
    """What runs read from claims."""
    found = []
    for text in order.data:
        path, equals, claim = text.partition("=")
        if not (path and equals and claim):
            raise ConfigError(f"not data on a claim: {text!r}", "write it as `--data data=CLAIM`")
        found.append(Mounted(path=path.rstrip("/"), claim=claim))
    return tuple(found)


def _refuse_what_never_changes(section: PipelineSection, data: Sequence[Mounted]) -> None:
    """Refuse to look for new data where none can come: in the image."""
    folders = [PurePosixPath(each.path) for each in data]
    for watched in section.watch:
        path = PurePosixPath(watched)
        if not is_tag(watched) and not any(path == folder or folder in path.parents for folder in folders):
            raise ConfigError(
                f"{watched} is in the pipeline's image on a cluster, where it never changes",
                f"have it on a claim: `--data {path.parent if path.suffix else path}=CLAIM`; or watch a registry's tag",
            )


def _tell(order: Order, section: PipelineSection, graph: Graph) -> None:
    """Say what means something else on a cluster than it does here."""
    if section.schedule and not section.time_zone:
        note("`[pipeline] time-zone` is not said: on the cluster it is UTC")
    if section.schedule and section.watch:
        note(f"the schedule is looked at as the data is, every {order.every or EVERY} minutes")
    shares = section.cache if order.cache is None else order.cache
    if not (order.state or shares):
        note("results are kept only as long as the pod of a run: `--state CLAIM` or `[pipeline] cache` keeps them")
    if not is_bounded(graph):
        note("a step says no memory, so that runs have no limit of it: write `@step(memory=...)`")


def _tell_next(pipeline: ScheduledPipeline) -> None:
    """Say when the cluster begins something; a zone that this machine does not know is the cluster's to know."""
    times = pipeline.times
    with suppress(ZoneInfoNotFoundError):
        zone = ZoneInfo(times.zone)
        at = said(Cron.parse(times.schedule).next(time.time(), zone), zone)
        note(f"the next run is due at {at}" if pipeline.words == pipeline.by_hand else f"it is looked at next at {at}")


def _words(order: Order, jobs: int, *, looks: bool) -> tuple[str, ...]:
    """What the image is told: to run the pipeline, or to look whether a run is due, when it is its turn."""
    words = ["pipeline", *(("watch", "--once") if looks else ("run",)), "--here", "--wait", "--jobs", str(jobs)]
    words += ["--name", order.name] if order.name else []
    words += [] if order.cache is None else ["--cache", order.cache]
    return (*words, *(part for each in order.arguments for part in ("-p", each)))


def _room(graph: Graph, jobs: int) -> Room:
    room, bounded = room_of(graph, jobs), is_bounded(graph)
    memory = room.memory + _OWN_MEMORY if room.memory else 0
    return Room(cpus=room.cpus or 1.0, memory=memory, gpus=room.gpus, bounded=bounded and bool(memory))


def _seconds(graph: Graph) -> int:
    """The deadline of a Job: a run, and as much again to wait for one that was begun by hand; 0 for none."""
    seconds = longest(graph)
    return int(2 * seconds) + _STARTING if seconds else 0


def _said_of(place: Place, project: Project) -> Surroundings:
    section = project.environment.get(place.environment)
    return Surroundings(pull_secrets=section.pull_secrets if section else ())


def _unasked(decided: Decided, order: Order) -> Cluster:
    """A cluster that is not asked."""
    cluster = Cluster(namespace=decided.place.namespace or "default", kinds=kinds_of(order.having)).having(decided.said)
    return msgspec.structs.replace(cluster, version=parse_version(order.version)) if order.version else cluster


def _open(place: Place, order: Order) -> ScheduledPipelines:
    from tiffin.deploy.kubernetes.client.kubeconfig import connect
    from tiffin.deploy.kubernetes.scheduled.keeping import ScheduledPipelines

    api, namespace = connect(context=place.context, namespace=place.namespace)
    return ScheduledPipelines(api, namespace, force=order.force)
