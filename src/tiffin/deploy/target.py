"""The seam between a service that is wanted and a place that keeps it: this machine, or a cluster.

Abilities that not every target has are Protocols of their own, asked for with `isinstance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import msgspec

from tiffin.deploy.service import Service
from tiffin.engine.spec import LogLine
from tiffin.oci.digest import Digest


class Action(Enum):
    """What happens to a thing of the target's."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    KEEP = "keep"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs from what is wanted: `what` names it, `details` are lines that say in what."""

    action: Action
    what: str
    details: tuple[str, ...] = ()


class Phase(Enum):
    """Where a service is on its way to what is wanted."""

    AVAILABLE = "available"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    DEGRADED = "degraded"
    FAILED = "failed"


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision that is known: its number (1 is the first), its template's digest, and who it serves.

    `weight` is the share of requests in percent; `created` is RFC 3339; `why` says what made it, where it is known;
    `engine` is what runs its replicas, where that is not what runs all others on that machine.
    """

    number: int
    digest: Digest | None
    image: str
    weight: float = 0.0
    replicas: int = 0
    ready: int = 0
    created: str = ""
    why: str = ""
    engine: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that keeps a service from what is wanted, and what to do about it; `log` are its last words."""

    message: str
    hint: str = ""
    log: tuple[str, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is: `wanted` replicas, `ready` of them, `addresses` it answers at, revisions newest first."""

    name: str
    phase: Phase
    wanted: int
    ready: int
    addresses: tuple[str, ...] = ()
    revisions: tuple[Revision, ...] = ()
    findings: tuple[Finding, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided about a service: when (RFC 3339), what, and why, with the numbers that made it."""

    time: str
    what: str
    why: str
    numbers: dict[str, Any] = {}


class Target(Protocol):
    """Keeps services as wanted. Every method raises UnavailableError where nobody answers."""

    def plan(self, service: Service) -> Sequence[Change]:
        """Say what `apply` would do, and do nothing."""
        ...

    def apply(self, service: Service) -> Status:
        """Make it so, and return once it is available.

        Raises CommandError with what is in the way where it does not become so within its `progress_seconds`,
        ConflictError where somebody else has changed the same meanwhile.
        """
        ...

    def status(self, name: str) -> Status:
        """Look at a service; raises NotFoundError."""
        ...

    def list(self) -> Sequence[Status]:
        """Every service that tiffin keeps there, by name."""
        ...

    def delete(self, name: str) -> None:
        """Let go of a service and of all that belongs to it; raises NotFoundError."""
        ...


@runtime_checkable
class CanScale(Protocol):
    """A target on which the number of replicas can be set by hand."""

    def scale(self, name: str, least: int, most: int) -> None:
        """Keep it between so many replicas from now on; no new revision."""
        ...


@runtime_checkable
class CanGoBack(Protocol):
    """A target that remembers revisions."""

    def history(self, name: str) -> Sequence[Revision]:
        """The revisions that are kept, newest first."""
        ...

    def rollback(self, name: str, number: int | None = None) -> Status:
        """Go back to a revision, the one before where none is named, as `apply` does; raises NotFoundError."""
        ...


@runtime_checkable
class CanCanary(Protocol):
    """A target that can give a new revision a part of the requests."""

    def canary(self, service: Service, percent: float) -> Status:
        """Start the revision beside the one that is there, and give it that share."""
        ...

    def promote(self, name: str) -> Status:
        """Give the canary all requests, and let the other revision go."""
        ...


@runtime_checkable
class CanPause(Protocol):
    """A target that can hold a rollout where it is."""

    def pause(self, name: str) -> None:
        """Begin nothing more of a rollout."""
        ...

    def resume(self, name: str) -> None:
        """Go on with it."""
        ...


@runtime_checkable
class CanRestart(Protocol):
    """A target that can replace every replica by one alike."""

    def restart(self, name: str) -> Status:
        """Replace them as a rollout would."""
        ...


@runtime_checkable
class CanLog(Protocol):
    """A target that can be asked what replicas wrote."""

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[str, LogLine]]:
        """What the replicas write, each line with the replica's name."""
        ...


@runtime_checkable
class CanReach(Protocol):
    """A target whose replicas can be reached one by one."""

    def replica(self, name: str, which: str = "") -> object:
        """A replica of a service, a ready one where none is named, as `CanExec` and `CanCopy`; raises NotFoundError."""
        ...


class Forward(Protocol):
    """A port of this machine that leads to one of a service's."""

    port: int

    def run(self) -> None:
        """Carry connections until `close`."""
        ...

    def close(self) -> None:
        """Take no more connections."""
        ...


@runtime_checkable
class CanForward(Protocol):
    """A target that can lead a port of this machine to one of a service's."""

    def forward(self, name: str, remote: str, address: str, port: int) -> Forward:
        """Lead to a port by name or number, the service's main one where it is empty; port 0 is any that is free."""
        ...


@runtime_checkable
class CanExplain(Protocol):
    """A target that keeps account of what it decides."""

    def explain(self, name: str) -> Sequence[Decision]:
        """What was decided about a service lately, oldest first."""
        ...
