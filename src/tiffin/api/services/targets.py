"""Where services are kept: which place is meant, what stands for it, and which place a name was last deployed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tiffin.api.machine.folders import PROJECTS
from tiffin.api.machine.home import Home
from tiffin.config.deploy import EnvironmentSection
from tiffin.config.project import Project
from tiffin.deploy.kubernetes.manifests.cluster import Surroundings
from tiffin.deploy.target import Status, Target
from tiffin.errors import ConfigError, NotFoundError, UnavailableError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.progress import note

LOCAL, KUBERNETES = "local", "kubernetes"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """This machine, or a namespace of a cluster; what is empty is the kubeconfig's to say.

    `environment` is what tiffin.toml calls it, where it was meant by that name.
    """

    target: Literal["local", "kubernetes"] = "local"
    context: str = ""
    namespace: str = ""
    environment: str = ""

    def __str__(self) -> str:
        if self.target == LOCAL:
            return "this machine"
        where = f"the cluster of {self.context}" if self.context else "the current cluster"
        return f"{where}, namespace {self.namespace or 'as its context says'}"


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Which place is meant, as it is typed; nothing leaves it to tiffin.toml and to what is known."""

    to: str = ""
    environment: str = ""
    context: str = ""
    namespace: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A service, and where it is."""

    place: Place
    status: Status


def choose(where: Where, environments: Mapping[str, EnvironmentSection], known: Sequence[Place]) -> Place:
    """Decide which place is meant: what is typed, else where the name is known, else the one environment, else here.

    Raises ConfigError where that is not one place.
    """
    if where.environment:
        return _environment(where, environments)
    if where.to == LOCAL and (where.context or where.namespace):
        raise ConfigError("`--context` and `--namespace` are a cluster's", "leave them out, or `--to kubernetes`")
    if where.to == LOCAL:
        return Place()
    if where.to or where.context or where.namespace:
        return Place(target="kubernetes", context=where.context, namespace=where.namespace)
    if len(known) > 1:
        raise ConfigError(f"it is in several places: {'; '.join(map(str, known))}", "say which: `--to`, `--context`")
    if known:
        return known[0]
    if len(environments) > 1:
        raise ConfigError(
            f"tiffin.toml has several environments: {', '.join(environments)}", "say `--environment NAME`"
        )
    return _environment(Where(environment=next(iter(environments))), environments) if environments else Place()


def _environment(where: Where, environments: Mapping[str, EnvironmentSection]) -> Place:
    name = where.environment
    if name not in environments:
        there = f"tiffin.toml has: {', '.join(environments)}" if environments else f"write `[environment.{name}]` in it"
        raise NotFoundError(f"tiffin.toml here has no environment {name!r}", there)
    section = environments[name]
    if where.to not in {"", section.target}:
        raise ConfigError(f"the target of {name} is {section.target}, and `--to` says {where.to}", "leave one out")
    if section.target == LOCAL:
        if where.context or where.namespace:
            raise ConfigError(f"{name} is this machine, which has no contexts and namespaces", "leave them out")
        return Place(environment=name)
    return Place(
        target=section.target,
        environment=name,
        context=where.context or section.kube_context,
        namespace=where.namespace or section.namespace,
    )


def project_in(folder: Path) -> Project | None:
    """The project of a folder, where it has one."""
    if not any((folder / file).is_file() for file in PROJECTS):
        return None
    from tiffin.config.read import read_project

    try:
        return read_project(folder, needs_model=False)[1]
    except NotFoundError:  # a pyproject.toml that says nothing of tiffin
        return None


def place_of(name: str, where: Where, home: Home) -> Place:
    """Decide where the service of this name is; tiffin.toml counts where it is that project's, or is asked for."""
    project = project_in(Path.cwd())
    if project and project.name != name and not where.environment:
        project = None
    return choose(where, project.environment if project else {}, known_places(home, name))


def target_of(name: str, where: Where) -> Target:
    """What keeps the service of this name."""
    home = Home.of()
    return open_target(place_of(name, where, home), home)


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """How a cluster is dealt with: whether what others have set is taken over, and which Gateway is meant.

    `said` is what tiffin.toml says of it; None leaves that as it was said before. `kserve` has KServe keep the service.
    """

    force: bool = False
    gateway: str = ""
    said: Surroundings | None = None
    kserve: bool = False


_USUAL = Means()


def open_target(place: Place, home: Home, means: Means = _USUAL) -> Target:
    """What stands for a place; nothing is asked of it yet."""
    if place.target == LOCAL:
        from tiffin.api.services.up import this_machine

        return this_machine(home)
    from tiffin.deploy.kubernetes.client.kubeconfig import connect
    from tiffin.deploy.kubernetes.target import KubernetesTarget

    api, namespace = connect(context=place.context, namespace=place.namespace)
    if means.kserve:
        from tiffin.deploy.kubernetes.kserve import KServeTarget

        return KServeTarget(api, namespace, force=means.force, said=means.said)
    return KubernetesTarget(api, namespace, force=means.force, gateway=means.gateway, said=means.said)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service was deployed to from here, the latest first."""

    name: str
    places: list[Place]


def known_places(home: Home, name: str) -> list[Place]:
    """Where a name was deployed to from this machine, the latest first."""
    found = home.records("services").get(_key(name), _Known)
    return found.places if found else []


def remember(home: Home, name: str, place: Place) -> None:
    """Know that a service is in a place."""
    places = [place, *(other for other in known_places(home, name) if not _same(other, place))]
    home.records("services").put(_key(name), _Known(name=name, places=places))


def forget(home: Home, name: str, place: Place) -> None:
    """Know that it is there no more."""
    left = [other for other in known_places(home, name) if not _same(other, place)]
    if left:
        home.records("services").put(_key(name), _Known(name=name, places=left))
    else:
        home.records("services").forget(_key(name))


def everywhere(where: Where) -> tuple[list[Found], UnavailableError | None]:
    """Every service of the place that is meant; where none is, of all that are known, without those that are silent.

    What goes with them is that nobody keeps the services which this machine has.
    """
    home = Home.of()
    project = project_in(Path.cwd())
    if where != Where():
        places = [choose(where, project.environment if project else {}, [])]
    else:
        known = [place for one in home.records("services").all(_Known).values() for place in one.places]
        places = [Place(), *(place for place in dict.fromkeys(known) if place.target != LOCAL)]
    found: list[Found] = []
    unkept: UnavailableError | None = None
    for place in places:
        try:
            found += [Found(place=place, status=status) for status in open_target(place, home).list()]
        except (UnavailableError, UnsupportedError, ConfigError, NotFoundError) as error:
            if where != Where():
                raise
            if place != Place():
                note(f"{place}: {error.message}")
            elif names := _kept_here(home):
                unkept = UnavailableError(f"{', '.join(names)}: {error.message}", error.hint)
    return found, unkept


def _kept_here(home: Home) -> list[str]:
    """The services that this machine is to keep, whether anybody does or not."""
    from tiffin.deploy.local.places import DATABASE
    from tiffin.deploy.local.state import kept_names

    return kept_names(home.data / DATABASE)


def _same(one: Place, other: Place) -> bool:
    return (one.target, one.context, one.namespace) == (other.target, other.context, other.namespace)


def _key(name: str) -> Digest:
    return Digest.of(name.encode())
