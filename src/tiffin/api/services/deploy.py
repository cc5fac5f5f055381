"""`deploy`: a project or an image becomes a service that is kept, on this machine or in a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tiffin.api.containers.run import stem_of
from tiffin.api.machine.home import Home
from tiffin.api.services.deployed import FoundImage, bring, called, document_of, find, made, with_weights
from tiffin.api.services.targets import (
    KUBERNETES,
    LOCAL,
    Means,
    Place,
    Where,
    choose,
    known_places,
    open_target,
    project_in,
    remember,
)
from tiffin.config.deploy import DeploySection, EnvironmentSection
from tiffin.config.project import Project
from tiffin.deploy.compose import Asked, Served, compose
from tiffin.deploy.kubernetes.manifests.cluster import Surroundings
from tiffin.deploy.service import Service
from tiffin.deploy.target import CanCanary, Change, Status, Target
from tiffin.errors import (
    CommandError,
    ConfigError,
    ConflictError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.progress import note, step


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to deploy, where to, and what was typed of how; `canary` is a share of the requests in percent.

    `gateway` is the Gateway of the cluster that leads to its host, as NAMESPACE/NAME; `kserve` has KServe keep it.
    `push` is the name by which what is only here goes to a registry. `having` is what a cluster that is not asked is
    taken to have, of `ADDONS`. `project` is the folder whose tiffin.toml says how an image is kept.
    """

    what: str
    name: str = ""
    where: Where = Where()
    asked: Asked = Asked()
    canary: float | None = None
    force: bool = False
    gateway: str = ""
    kserve: bool = False
    push: str = ""
    having: tuple[str, ...] = ()
    project: str = "."

    @property
    def folder(self) -> Path:
        """The folder that is deployed, or that says how an image is."""
        return Path(self.what if Path(self.what).is_dir() else self.project)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy would do: the service as wanted, where, and what would change there."""

    service: Service
    place: Place
    changes: Sequence[Change]


class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    service: Service
    place: Place
    found: FoundImage
    means: Means


def deploy(order: Order) -> tuple[Status, Place]:
    """Have a service kept as it is wanted, and return how it is once it is available, and where."""
    home = Home.of()
    decided = _decide(order, home)
    service, place, found = decided.service, decided.place, decided.found
    target = open_target(place, home, decided.means)
    bring(found, place, home, project=order.folder)
    try:
        with step("deploy", f"{service.name} to {place}"):
            status = _apply(target, order, service, place)
    except (CommandError, ConflictError):  # it is there, if not as it should be, unless it was taken back
        if not service.rollout.rollback:
            remember(home, service.name, place)
        raise
    remember(home, service.name, place)
    return status, place


def _apply(target: Target, order: Order, service: Service, place: Place) -> Status:
    if order.canary is None:
        return target.apply(service)
    if not isinstance(target, CanCanary):
        raise UnsupportedError(f"{place} gives a revision all requests or none", "leave `--canary` out")
    return target.canary(service, order.canary)


def plan_deploy(order: Order, version: str = "") -> Planned:
    """Say what a deploy would do; of a cluster that is not asked, or does not answer, all that it would be sent."""
    home = Home.of()
    decided = _decide(order, home)
    changes: Sequence[Change] | None = None
    if not version:
        try:
            changes = open_target(decided.place, home, decided.means).plan(decided.service)
        except (UnavailableError, NotFoundError) as error:
            if decided.place.target == LOCAL:
                raise
            note(f"the cluster is not asked: {error.message}")
    if changes is None:
        from tiffin.deploy.kubernetes.changes import created

        changes = created(_objects(decided, order, version))
    return Planned(service=decided.service, place=decided.place, changes=changes)


def render(order: Order, version: str = "") -> str:
    """Return what a cluster of a version would be sent, as YAML; no cluster is asked."""
    from tiffin.deploy.kubernetes.manifests.render import to_yaml

    return to_yaml(_objects(_decide(_for_cluster(order), Home.of()), order, version))


def render_into(order: Order, folder: Path, version: str = "") -> list[str]:
    """Write it as a base for kustomize, and return the files; those of an earlier one are written over."""
    from tiffin.deploy.kubernetes.manifests.files import write_base

    return write_base(_objects(_decide(_for_cluster(order), Home.of()), order, version), folder)


def _for_cluster(order: Order) -> Order:
    """Manifests are a cluster's, whatever else is known of the name."""
    if order.where.to or order.where.environment:
        return order
    return msgspec.structs.replace(order, where=msgspec.structs.replace(order.where, to=KUBERNETES))


def _objects(decided: _Decided, order: Order, version: str) -> list[dict[str, object]]:
    """What a cluster that is not asked would be sent; it has what is named, and a gateway where one is."""
    from tiffin.deploy.kubernetes.kserve import rendered_for_kserve
    from tiffin.deploy.kubernetes.manifests.cluster import HTTP_ROUTE
    from tiffin.deploy.kubernetes.manifests.render import Cluster
    from tiffin.deploy.kubernetes.revisions import rendered

    if decided.place.target != KUBERNETES:
        raise ConfigError(f"{decided.place} has no manifests", "say `--to kubernetes`, or leave `--k8s-version` out")
    means = decided.means
    kinds = kinds_of(order.having) | ({HTTP_ROUTE} if means.gateway else frozenset())
    if HTTP_ROUTE in kinds and not means.gateway:
        raise ConfigError(
            "`--with gateway-api` does not say which Gateway leads to `host`", "`--gateway NAMESPACE/NAME`"
        )
    cluster = Cluster(namespace=decided.place.namespace or "default", gateway=means.gateway, kinds=kinds)
    cluster = cluster.having(means.said or Surroundings())
    if version:
        cluster = msgspec.structs.replace(cluster, version=parse_version(version))
    return rendered_for_kserve(decided.service, cluster) if means.kserve else rendered(decided.service, cluster)


def kinds_of(addons: Sequence[str]) -> frozenset[str]:
    """The kinds that a cluster with these has; raises ConfigError for one that is not known."""
    from tiffin.deploy.kubernetes.manifests.cluster import ADDONS

    for name in addons:
        if name not in ADDONS:
            raise ConfigError(f"nothing that a cluster may have is called {name!r}", f"known are: {', '.join(ADDONS)}")
    return frozenset(kind for name in addons for kind in ADDONS[name])


def parse_version(text: str) -> tuple[int, int]:
    """Read a cluster's version, `1.36` or `v1.36.2`; raises ConfigError."""
    parts = text.removeprefix("v").split(".")
    if len(parts) not in {2, 3} or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"not a version of Kubernetes: {text!r}", "write it as `1.36`")
    return int(parts[0]), int(parts[1])


def _decide(order: Order, home: Home) -> _Decided:
    """Find the image, what is said of keeping it, and the place, and put the service together."""
    folder = Path(order.what)
    if order.what.startswith((".", "/")) and not folder.is_dir():
        raise NotFoundError(f"no folder {order.what}", "name a project's folder, or an image of `tiffin images`")
    project, root = project_in(order.folder), order.folder
    name = order.name or _name_there(project, order) or (project.name if project and folder.is_dir() else "")
    place = _place(order, name, project, home)
    section = section_of(project, place.environment)
    found = find(order.what, order.push or section.push, place, home)
    said = document_of(found)
    own = called(said, found)
    if project and not folder.is_dir() and project.name not in {own, order.name}:
        if order.where.environment:
            raise ConfigError(f"tiffin.toml here is of {project.name}, and {order.what} of {own}", "go to its folder")
        project = None
    service = compose(
        name or own,
        made(found, said.serve if said else Served()),
        section if project else DeploySection(),
        order.asked,
        root.absolute() if place.target == LOCAL else None,
    )
    if place.target == KUBERNETES:
        service = with_weights(service, found)
    return _Decided(service=service, place=place, found=found, means=means_of(order, place, project))


def _name_there(project: Project | None, order: Order) -> str:
    """What the environment that is meant calls the service, where it has a name of its own for it."""
    section = project.environment.get(order.where.environment) if project else None
    return section.name if section else ""


def means_of(order: Order, place: Place, project: Project | None) -> Means:
    """How the cluster is dealt with: what is typed, and what tiffin.toml says of the environment that is meant."""
    if place.target != KUBERNETES:
        if option := next((name for name in ("kserve", "gateway", "push") if getattr(order, name)), ""):
            option = f"--{option}"
            raise ConfigError(f"`{option}` is about a cluster, and {place} is none", f"leave `{option}` out")
        return Means()
    section = project.environment.get(place.environment) if project else None
    section = section or EnvironmentSection(target="kubernetes")
    said = Surroundings(
        prometheus=section.prometheus.address,
        monitoring=section.prometheus.namespace,
        monitor_labels=section.prometheus.labels,
        pull_secrets=section.pull_secrets,
    )
    gateway = order.gateway or section.gateway
    return Means(force=order.force, gateway=gateway, said=said, kserve=order.kserve or section.kserve)


def _place(order: Order, name: str, project: Project | None, home: Home) -> Place:
    """Where to; before an image is found, it has the name that its own would give."""
    called = name or stem_of(order.what)
    environments = (
        project.environment if project and (name or order.where.environment or project.name == called) else {}
    )
    return choose(order.where, environments, known_places(home, called))


def section_of(project: Project | None, environment: str) -> DeploySection:
    """What is said of keeping it, in the environment that is meant."""
    if project is None:
        return DeploySection()
    section = project.environment.get(environment)
    return section.over(project.deploy) if section else project.deploy
