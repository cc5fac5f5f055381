"""What a decision looks at: how a service of this machine is wanted, and what is seen of it. Values, and no clock."""

from __future__ import annotations

from enum import Enum

import msgspec

from tiffin.deploy.service import Rollout


class Stage(Enum):
    """Where a replica is in its life: not ready yet, answering, loaded and still, told to stop, or what remains."""

    STARTING = "starting"
    READY = "ready"
    ASLEEP = "asleep"
    STOPPING = "stopping"
    ENDED = "ended"


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a revision; `since` is when it came to its stage, in seconds since 1970.

    `failure` says why one that runs is of no use: it fails a check, or takes too long to load.
    """

    name: str
    revision: int
    stage: Stage
    since: float
    failure: str = ""


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """A replica of a revision that ended by itself soon after it was started, or was of no use."""

    revision: int
    time: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests to a revision went: how many there were, how many of them failed, their p99 in seconds."""

    requests: int
    errors: int
    p99: float


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is wanted.

    `revision` is the one it should have, and `stable` the last one that has settled, 0 where none has: what a rollout
    that is given up goes back to. `canary` is the share of requests in percent that `revision` gets beside `stable`
    until it is promoted, 0 where it is to take the place; it is `proven` once it has had that share. A rollout began at
    `began`, and has come to its end when it has `settled`. `failed` says that one was given up and there was nothing to
    go back to, `gone` that all has to go. Where no replica is wanted, one stays and sleeps if it is to be `warm`.
    """

    revision: int
    replicas: int
    stable: int = 0
    rollout: Rollout = Rollout()
    canary: float = 0.0
    proven: bool = False
    paused: bool = False
    settled: bool = False
    failed: bool = False
    gone: bool = False
    warm: bool = False
    began: float = 0.0

    @property
    def rolls(self) -> bool:
        """Whether one revision takes the place of another, or stands beside it."""
        return not self.settled and self.stable not in {0, self.revision}

    @property
    def sleeps(self) -> bool:
        """Whether nobody has to be ready: the next request wakes it."""
        return self.warm and not self.replicas and not self.gone

    @property
    def surge(self) -> int:
        """How many more than wanted there may be; a rollout that may have neither more nor fewer never ends."""
        return self.rollout.surge or int(self.rollout.unavailable == 0)


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen of a service at a time: its replicas, and what the front has of it.

    `fronts` are the revisions in its table (True: open, False: finishing what they have), `weights` their shares of the
    requests in percent, `asleep` those that are told to sleep. Where the front is `blind`, for it does not answer or
    its workers have not come back to it yet, nobody knows who is ready.
    """

    now: float
    replicas: tuple[Replica, ...] = ()
    fronts: dict[int, bool] = {}
    asleep: frozenset[int] = frozenset()
    crashes: tuple[Crash, ...] = ()
    health: dict[int, Health] = {}
    weights: dict[int, float] = {}
    blind: bool = False


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Have the front know a revision: it takes requests as soon as one of its workers is ready."""

    revision: int


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """Let a revision finish what it has, and give it no more."""

    revision: int


class Sleep(msgspec.Struct, frozen=True, kw_only=True, tag="sleep"):
    """Have the last replica of a revision stay with its model loaded, and nothing running; a request wakes it."""

    revision: int


class Wake(msgspec.Struct, frozen=True, kw_only=True, tag="wake"):
    """Let a revision sleep no more."""

    revision: int


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Start one replica."""

    revision: int


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """Let a replica finish its batch and go."""

    replica: str
    why: str


class Remove(msgspec.Struct, frozen=True, kw_only=True, tag="remove"):
    """Forget a replica that has ended."""

    replica: str


class Shift(msgspec.Struct, frozen=True, kw_only=True, tag="shift"):
    """Share the requests between revisions anew, in percent."""

    weights: dict[int, float]


class GiveUp(msgspec.Struct, frozen=True, kw_only=True, tag="give-up"):
    """Go back from a revision to the one that was there before; to 0 where there is none, and then it is only said."""

    revision: int
    to: int
    why: str


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag="settle"):
    """Note that a revision is there as it is wanted: from now on it is what others go back to."""

    revision: int


class Wait(msgspec.Struct, frozen=True, kw_only=True, tag="wait"):
    """Look again then, even where nothing is seen to change."""

    until: float


Change = Open | Close | Sleep | Wake | Start | Stop | Remove | Shift | GiveUp | Settle | Wait
