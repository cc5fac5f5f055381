"""What is done with services that are kept: look, scale, go back, promote, hold, restart, read, let go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from tiffin.api.containers.logs import Part, is_since
from tiffin.api.containers.verbs import is_container
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import Found, Where, everywhere, forget, known_places, open_target, place_of, target_of
from tiffin.deploy.compose import parse_replicas
from tiffin.deploy.target import (
    CanCanary,
    CanExplain,
    CanGoBack,
    CanLog,
    CanPause,
    CanRestart,
    CanScale,
    Decision,
    Revision,
    Status,
    Target,
)
from tiffin.engine.spec import LogLine
from tiffin.errors import ConfigError, NotFoundError, UnavailableError, UnsupportedError

Ability = TypeVar("Ability")


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A service, as a list shows it."""

    name: str
    phase: str
    ready: str
    address: str
    place: str


def services(where: Where) -> tuple[list[ServiceRow], UnavailableError | None]:
    """List the services of the place that is meant, or of every place that is known; and say if nobody keeps ours."""
    found, unkept = everywhere(where)
    return [_row(one) for one in found], unkept


def status(name: str, where: Where) -> Status:
    """Look at a service."""
    return target_of(name, where).status(name)


def explain(name: str, where: Where) -> Sequence[Decision]:
    """What was decided about a service lately, with the reasons."""
    return able(target_of(name, where), CanExplain, "keeps no account of what it decides").explain(name)  # type: ignore[type-abstract]


def scale(name: str, replicas: str, where: Where) -> None:
    """Keep a service between so many replicas, written as `3` or `1-4`."""
    least, most = parse_replicas(replicas)
    able(target_of(name, where), CanScale, "does not scale by hand").scale(name, least, most)  # type: ignore[type-abstract]


def history(name: str, where: Where) -> Sequence[Revision]:
    """The revisions of a service that are kept, newest first."""
    return able(target_of(name, where), CanGoBack, "remembers no revisions").history(name)  # type: ignore[type-abstract]


def rollback(name: str, number: int | None, where: Where) -> Status:
    """Go back to a revision, the one before where none is named."""
    if number is not None and number < 1:
        raise ConfigError(f"not a revision: {number}", f"`tiffin history {name}` lists them")
    return able(target_of(name, where), CanGoBack, "remembers no revisions").rollback(name, number)  # type: ignore[type-abstract]


def promote(name: str, where: Where) -> Status:
    """Give a canary all requests."""
    return able(target_of(name, where), CanCanary, "has no canaries").promote(name)  # type: ignore[type-abstract]


def pause(name: str, where: Where) -> None:
    """Begin nothing more of a rollout."""
    able(target_of(name, where), CanPause, "does not hold rollouts").pause(name)  # type: ignore[type-abstract]


def resume(name: str, where: Where) -> None:
    """Go on with a rollout."""
    able(target_of(name, where), CanPause, "does not hold rollouts").resume(name)  # type: ignore[type-abstract]


def restart(name: str, where: Where) -> Status:
    """Replace every replica by one alike."""
    return able(target_of(name, where), CanRestart, "does not restart replicas").restart(name)  # type: ignore[type-abstract]


def logs(name: str, where: Where, *, follow: bool, part: Part) -> Iterator[tuple[str, LogLine]]:
    """What the replicas of a service write, each line with the replica's name."""
    target = able(target_of(name, where), CanLog, "has no logs")  # type: ignore[type-abstract]
    return (line for line in target.logs(name, follow=follow, tail=part.tail) if is_since(line[1], part))


def delete(name: str, where: Where) -> None:
    """Let go of a service and of all that belongs to it; one that is gone there is known here no more."""
    home = Home.of()
    place = place_of(name, where, home)
    try:
        open_target(place, home).delete(name)
    except NotFoundError:
        forget(home, name, place)
        raise
    forget(home, name, place)


def is_service(name: str, where: Where) -> bool:
    """Say whether a name that may be a container's is a service's: a place is said, or only a service has it."""
    if where != Where():
        return True
    home = Home.of()
    return bool(known_places(home, name)) and not is_container(name, home)


def able(target: Target, ability: type[Ability], lacks: str) -> Ability:
    """Return the target as what is asked of it; raises UnsupportedError where it is not that."""
    if not isinstance(target, ability):
        raise UnsupportedError(f"this target {lacks}", "`tiffin status` says where the service is")
    return target


def _row(found: Found) -> ServiceRow:
    status = found.status
    return ServiceRow(
        name=status.name,
        phase=status.phase.value,
        ready=f"{status.ready}/{status.wanted}",
        address=next(iter(status.addresses), ""),
        place=str(found.place),
    )
