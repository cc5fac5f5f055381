"""Whose turn it is to run a pipeline, as a Lease says it. Pure.

A Lease (coordination.k8s.io/v1) names its holder, when that one renewed it, and for how long it counts. Clocks of two
nodes may differ, so nobody takes a Lease for what its holder's clock says: it is free when it has not changed for its
time by the clock of who waits, as in Kubernetes' own leader election (client-go `tools/leaderelection`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

Object = dict[str, Any]
_MICRO = "%Y-%m-%dT%H:%M:%S.%fZ"
"""`MicroTime` of the Kubernetes API, in UTC."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the turn, nobody where `holder` is empty; for how many seconds; when that was said, by their clock.

    `version` is the Lease's, by which a change between reading and writing is noticed.
    """

    holder: str = ""
    seconds: int = 0
    renewed: float = 0.0
    taken: int = 0
    version: str = ""


def read_turn(lease: Object) -> Turn:
    """Read a Lease; what it does not say is as if nobody had it."""
    spec = lease.get("spec") or {}
    return Turn(
        holder=spec.get("holderIdentity") or "",
        seconds=spec.get("leaseDurationSeconds") or 0,
        renewed=_seconds(spec.get("renewTime") or ""),
        taken=spec.get("leaseTransitions") or 0,
        version=lease["metadata"]["resourceVersion"],
    )


def is_free(turn: Turn, me: str, unchanged: float) -> bool:
    """Whether a turn may be taken that was seen to be the same for so many seconds."""
    return turn.holder in {"", me} or unchanged >= turn.seconds


def is_renewed(turn: Turn, now: float) -> bool:
    """Whether its holder says that it is theirs, by their clock: good enough to give up at once, and not to take it."""
    return now - turn.renewed < turn.seconds


def taking(turn: Turn, me: str, seconds: int, now: float) -> Object:
    """The change by which a turn is taken, or renewed by who has it; refused where the Lease is another by then."""
    spec: Object = {"holderIdentity": me, "leaseDurationSeconds": seconds, "renewTime": _written(now)}
    if turn.holder != me:
        spec |= {"acquireTime": _written(now), "leaseTransitions": turn.taken + 1}
    return {"metadata": {"resourceVersion": turn.version}, "spec": spec}


def giving_back(turn: Turn) -> Object:
    """The change by which a turn is nobody's."""
    return {"metadata": {"resourceVersion": turn.version}, "spec": {"holderIdentity": "", "renewTime": None}}


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(_MICRO)


def _seconds(text: str) -> float:
    """Read a time of the API; one that cannot be read is long ago."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
