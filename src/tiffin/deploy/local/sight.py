"""What is seen of a service: its containers, the table and what the front says of it, put together to what decides.

What is remembered here makes times exact; nothing of it is needed to go on after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tiffin.deploy.local import clock
from tiffin.deploy.local.fronts import Seen
from tiffin.deploy.local.reasons import NOT_READY
from tiffin.deploy.local.replicas import Found, ended, seconds_of
from tiffin.deploy.local.seen import Crash, Health, Observed, Replica, Stage
from tiffin.deploy.local.table import ASLEEP, CLOSED, CLOSING, Lane, Table, Told

SETTLING = 5.0
"""Seconds in which workers find a front that has just been started."""
FIRST_START = 2.0
"""Seconds that a start is taken to last, until one has been seen."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A front: its table, its process, and what it says, each as far as it is there."""

    table: Table | None = None
    seen: Seen | None = None
    told: Told | None = None

    def lane(self, revision: int) -> Lane:
        """What is said of a revision; nothing where nobody says anything."""
        return self.told.revisions.get(str(revision), Lane()) if self.told else Lane()

    @property
    def closed(self) -> list[int]:
        """The revisions that have finished: the front says so, or there is none that could have anything left."""
        gone = self.told is None and (self.seen is None or not self.seen.pid)
        entries = self.table.revisions if self.table else {}
        return [
            int(key)
            for key, entry in entries.items()
            if entry.state == CLOSING and (gone or self.lane(int(key)).state == CLOSED)
        ]


class Sight:
    """Looks at one service."""

    def __init__(self) -> None:
        self.stopping: set[str] = set()
        """Those that were told to stop, and may still run."""
        self.start_seconds = FIRST_START
        """What a replica takes from its start until it is ready, as far as has been seen."""
        self._entered: dict[str, tuple[Stage, float]] = {}
        self._lived: dict[str, float] = {}
        self._begun: set[str] = set()

    def started(self, name: str) -> None:
        """Measure how long this one takes."""
        self._begun.add(name)

    def removed(self, name: str) -> None:
        """Forget a replica."""
        self.stopping.discard(name)
        self._begun.discard(name)
        self._entered.pop(name, None)
        self._lived.pop(name, None)

    def lived(self, name: str, until: float) -> float:
        """For how many seconds a replica has been there, since it was ready for the first time."""
        return until - self._lived.get(name, until)

    def observe(
        self, found: Iterable[Found], picture: Picture, crashes: tuple[Crash, ...], limits: Mapping[int, float]
    ) -> Observed:
        """Put together what decides; `limits` are the seconds that a revision may take to load."""
        now, entries = clock.now(), picture.table.revisions if picture.table else {}
        replicas = tuple(self._replica(one, picture, now, limits.get(one.revision, 600.0)) for one in found)
        closed = picture.closed
        lanes = picture.told.revisions if picture.told else {}
        return Observed(
            now=now,
            replicas=replicas,
            fronts={int(key): entry.state != CLOSING for key, entry in entries.items() if int(key) not in closed},
            asleep=frozenset(int(key) for key, entry in entries.items() if entry.state == ASLEEP),
            crashes=crashes,
            health={
                int(key): Health(requests=lane.requests, errors=lane.errors, p99=lane.p99)
                for key, lane in lanes.items()
            },
            weights={int(key): entry.weight for key, entry in entries.items() if entry.state != CLOSING},
            blind=bool(entries) and self._is_blind(replicas, picture),
        )

    def _replica(self, one: Found, picture: Picture, now: float, limit: float) -> Replica:
        lane, failure = picture.lane(one.revision), ""
        entry = picture.table.revisions.get(str(one.revision)) if picture.table else None
        stage = Stage.STARTING
        if ended(one.state):
            stage = Stage.ENDED
        elif one.name in self.stopping:
            stage = Stage.STOPPING
        elif one.name in lane.failures:
            failure = lane.failures[one.name]
        elif entry is not None and entry.state == ASLEEP:
            stage = Stage.ASLEEP
        elif one.name in lane.ready:
            stage = Stage.READY
        since = self._since(one, stage, now, lane.ready.get(one.name, 0.0))
        if stage is Stage.STARTING and not failure and now - since > limit:
            failure = f"{NOT_READY} {limit:g} seconds"
        return Replica(name=one.name, revision=one.revision, stage=stage, since=since, failure=failure)

    def _since(self, one: Found, stage: Stage, now: float, ready: float) -> float:
        """When a replica came to its stage: as it was seen, and before the first look as front and engine say."""
        before, since = self._entered.get(one.name, (None, 0.0))
        if before is stage:
            return since
        if before is None:
            since = clock.since(ready or seconds_of(one.state.started) or now)
        else:
            if stage is Stage.READY and before is Stage.STARTING and one.name in self._begun:
                self._begun.discard(one.name)
                self.start_seconds = (self.start_seconds + now - since) / 2
            since = now
        self._entered[one.name] = stage, since
        if stage is Stage.READY:
            self._lived.setdefault(one.name, since)
        return since

    def _is_blind(self, replicas: Iterable[Replica], picture: Picture) -> bool:
        """Whether it is not known who is ready: the front says nothing, or workers have not found it again."""
        if picture.told is None or picture.seen is None:
            return True
        age = picture.seen.age
        return age < SETTLING and any(
            one.stage is Stage.STARTING and not one.failure and one.name not in self._begun for one in replicas
        )
