"""What the front of a service is told: which revisions there are, who gets which share, and who sleeps. Values.

The file is the supervisor's memory of it, and the front's: it is read when the front starts, and again when it is asked
to (spec/fronts.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiffin.deploy.service import Probe
from tiffin.durable import renamed
from tiffin.oci.documents import decode, encode

TABLE = "table.json"
OPEN, CLOSING, ASLEEP = "open", "closing", "asleep"
CLOSED, AWAKE = "closed", "awake"
"""What only the front says: one that was closing has finished, one that slept has been woken by a request."""
WHOLE = 100.0
_PRECISION = 0.01


class Upstream(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a replica that binds its own port is reached; `pid` is a process in its network, where it has `inner`."""

    host: str
    port: int
    pid: int = 0
    inner: int = 0
    draining: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One revision: its folder, what its workers show, its image, its share of the requests in percent, its state.

    `upstreams` and `probe` are for a relay: where each replica is reached, and how it is heard.
    """

    folder: str
    token: str
    image: str
    weight: float = 0.0
    state: str = OPEN
    bearer: str = ""
    drain_seconds: float = 1.0
    probe: Probe = Probe()
    upstreams: dict[str, Upstream] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """All revisions of a service by number; every change gives another table, whose weights sum to 100 if any is open.

    `samples` has the front tell each second that there is load, `wakes` has it let clients in before anybody is ready.
    """

    service: str
    salt: str
    poke: str
    samples: bool = False
    wakes: bool = False
    revisions: dict[str, Entry] = {}

    def opened(self, revision: int, entry: Entry) -> Table:
        """With one more; it gets requests when it is given a share, or at once where it is alone."""
        weight = 0.0 if any(other.state != CLOSING for other in self.revisions.values()) else WHOLE
        return self._with(revision, msgspec.structs.replace(entry, weight=weight))

    def closing(self, revision: int) -> Table:
        """With one that finishes what it has; its share goes to the others."""
        left = self._with(revision, msgspec.structs.replace(self.revisions[str(revision)], state=CLOSING, weight=0.0))
        weights = {int(key): one.weight for key, one in left.revisions.items() if one.state != CLOSING}
        total = sum(weights.values())
        even = WHOLE / len(weights) if weights else 0.0
        return left.shifted({key: WHOLE * weight / total if total else even for key, weight in weights.items()})

    def asleep(self, revision: int, *, on: bool) -> Table:
        """With one that is put to sleep, or woken."""
        entry = self.revisions[str(revision)]
        return self._with(revision, msgspec.structs.replace(entry, state=ASLEEP if on else OPEN))

    def shifted(self, weights: Mapping[int, float]) -> Table:
        """With other shares; who is not named gets none."""
        revisions = {
            key: msgspec.structs.replace(one, weight=weights.get(int(key), 0.0)) for key, one in self.revisions.items()
        }
        return msgspec.structs.replace(self, revisions=revisions)

    def reached(self, revision: int, upstreams: Mapping[str, Upstream]) -> Table:
        """With other places where the replicas of a revision are reached."""
        entry = self.revisions.get(str(revision))
        if entry is None or entry.upstreams == upstreams:
            return self
        return self._with(revision, msgspec.structs.replace(entry, upstreams=dict(upstreams)))

    def without(self, revision: int) -> Table:
        """Without one that has finished."""
        left = {key: one for key, one in self.revisions.items() if key != str(revision)}
        return msgspec.structs.replace(self, revisions=left)

    def _with(self, revision: int, entry: Entry) -> Table:
        return msgspec.structs.replace(self, revisions={**self.revisions, str(revision): entry})


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What the front says of one revision: its workers, and how requests went.

    `ready` says since when an instance may predict, `failures` why another may not; `seconds` is the sum of the time
    that all requests have spent in it, `p99` is in seconds. `durations` are counts by the upper bound of how long they
    took, None for those above every bound. A relay says how many `connections` each replica has.
    """

    state: str = OPEN
    weight: float = 0.0
    ready: dict[str, float] = {}
    warm: tuple[str, ...] = ()
    failures: dict[str, str] = {}
    in_flight: int = 0
    waiting: int = 0
    seconds: float = 0.0
    requests: int = 0
    errors: int = 0
    p99: float = 0.0
    durations: tuple[tuple[float | None, int], ...] = ()
    restarts: dict[str, int] = {}
    connections: dict[str, int] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a front says of itself; `waiting` are the requests that no revision could take yet."""

    service: str = ""
    pid: int = 0
    waiting: int = 0
    revisions: dict[str, Lane] = {}


def follows(told: Told, table: Table) -> bool:
    """Whether a front does as the table says, or has to be told again."""
    if told.revisions.keys() != table.revisions.keys():
        return False
    return all(_alike(told.revisions[key], entry) for key, entry in table.revisions.items())


def _alike(lane: Lane, entry: Entry) -> bool:
    states = {OPEN: {OPEN, AWAKE}, CLOSING: {CLOSING, CLOSED}, ASLEEP: {ASLEEP, AWAKE}}[entry.state]
    return lane.state in states and (entry.state == CLOSING or abs(lane.weight - entry.weight) < _PRECISION)


def same_weights(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Whether two ways to share requests out are one."""
    return all(abs(one.get(key, 0.0) - other.get(key, 0.0)) < _PRECISION for key in one.keys() | other.keys())


def read_table(folder: Path) -> Table | None:
    """Read what the front was last told; None where there is nothing yet."""
    path = folder / TABLE
    try:
        return decode(Table, path.read_bytes(), str(path))
    except FileNotFoundError:
        return None


def write_table(folder: Path, table: Table) -> None:
    """Have the next front, or the same one when it is asked to, find this; raises FullError."""
    with renamed(folder / TABLE, mode=0o600) as file:
        file.write(encode(table))
