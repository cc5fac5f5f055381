"""Whether a run is due, for its schedule or for new data, and what is remembered of that. Pure.

What a run is begun for is written down before it begins, as `Begun`, and that it has ended after it. So whoever comes
after a watcher that was killed knows what a run was begun for, and whether it came to its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

import msgspec

from tiffin.config.cron import Cron, said
from tiffin.pipeline.running.runs import RunState

SET_BACK = 3 * 3600.0
"""Seconds that a clock may be set back by without a schedule coming twice, as cron has it; beyond it was wrong."""


class Triggers(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline is run for: a schedule in a time zone, and names of data."""

    schedule: Cron | None = None
    zone: tzinfo
    watch: tuple[str, ...] = ()


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Data as it is now: its digest, "" where nobody can say; or that it has to be still for so many seconds more."""

    digest: str = ""
    unsettled: float = 0.0


class Begun(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", omit_defaults=True):
    """What the last run was begun for: data by name, and all times of a schedule until `scheduled`.

    `at` is when, in seconds since 1970, and `why` in words. `place` is the folder of its runs, `after` the run that was
    its last one then. `over` says that the run came to an end by itself.
    """

    at: float
    why: str = ""
    schedule: str = ""
    scheduled: float = 0.0
    data: dict[str, str] = {}
    place: str = ""
    after: str = ""
    over: bool = False


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A run is due, why, and what is to be remembered of that."""

    why: str
    begun: Begun


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A run will be due when data has been still for so many seconds more."""

    name: str
    seconds: float


Reason = Due | Wait


def due(
    triggers: Triggers, begun: Begun, now: float, data: Mapping[str, Sight], ran: RunState | None = None
) -> Reason | None:
    """Say whether a run is due; `ran` is how the latest run went that came after `begun` was written, if one did.

    However many times of a schedule have gone by, and however often data has changed, one run is due for all of them.
    """
    latest = triggers.schedule.latest(now, triggers.zone) if triggers.schedule else 0.0
    reasons = [*_unfinished(begun, ran), *_missed(triggers, begun, latest), *_changed(triggers, begun, data)]
    if reasons:
        return Due(why="; ".join(reasons), begun=_new(triggers, begun, now, data, "; ".join(reasons)))
    waits = {name: data[name].unsettled for name in triggers.watch if data[name].unsettled > 0}
    if waits:
        longest = max(waits, key=lambda name: waits[name])
        return Wait(name=longest, seconds=waits[longest])
    return None


def first(triggers: Triggers, now: float) -> Begun:
    """What is remembered before the first run: times that have gone by are none of ours, and all data is new."""
    schedule = triggers.schedule.text if triggers.schedule else ""
    return Begun(at=now, schedule=schedule, scheduled=now, over=True)


def kept(triggers: Triggers, begun: Begun, now: float) -> Begun:
    """What is remembered, by triggers that may be others now, and a clock that may have been set.

    A schedule that is new comes for the first time after now; so does one whose last time a wrong clock said.
    """
    schedule = triggers.schedule.text if triggers.schedule else ""
    if begun.schedule == schedule and begun.scheduled <= now + SET_BACK:
        return begun
    return msgspec.structs.replace(begun, schedule=schedule, scheduled=now)


def ended(begun: Begun, ran: RunState | None) -> Begun:
    """What is remembered once a run has ended: one that was stopped or killed goes on."""
    return msgspec.structs.replace(begun, over=begun.over or ran in {RunState.SUCCEEDED, RunState.FAILED})


def _unfinished(begun: Begun, ran: RunState | None) -> list[str]:
    if begun.over or ran in {RunState.SUCCEEDED, RunState.FAILED, RunState.RUNNING}:
        return []
    words = {None: "did not begin", RunState.KILLED: "was killed", RunState.STOPPED: "was stopped"}
    return [f"the run before {words[ran]}"]


def _missed(triggers: Triggers, begun: Begun, latest: float) -> list[str]:
    if triggers.schedule is None or latest <= begun.scheduled:
        return []
    return [f"it was due at {said(latest, triggers.zone)}"]


def _changed(triggers: Triggers, begun: Begun, data: Mapping[str, Sight]) -> list[str]:
    found = [name for name in triggers.watch if data[name].digest not in {"", begun.data.get(name)}]
    return [f"{name} has changed" if name in begun.data else f"{name} is new" for name in found]


def _new(triggers: Triggers, begun: Begun, now: float, data: Mapping[str, Sight], why: str) -> Begun:
    """What a run that begins now is for; of data that is not still, or not there, what it was for stays."""
    known = {name: data[name].digest or begun.data.get(name, "") for name in triggers.watch}
    return Begun(
        at=now,
        why=why,
        schedule=triggers.schedule.text if triggers.schedule else "",
        scheduled=max(now, begun.scheduled) if triggers.schedule else 0.0,
        data={name: digest for name, digest in known.items() if digest},
    )
