"""What happens to a service, moment by moment: made from a seed, the same again from the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from enum import Enum

import msgspec

IMPATIENT = 0.3
"""So often the next moment comes before the service has come to what was wanted."""
MOST = 3
"""So many replicas are asked for at most."""
LONGEST_PAUSE = 1.0


class Kind(Enum):
    """What may happen."""

    UPDATE = "rolling update"
    UPDATE_KILLED = "rolling update, supervisor killed at a step"
    CANARY = "canary 10 %, 50 %, promoted"
    CANARY_BACK = "canary 10 %, taken back"
    SCALE = "scaled"
    ROLLBACK = "rolled back"
    PAUSE = "rollout paused and resumed"
    MIGRATE = "migrated"
    KILL_SUPERVISOR = "supervisor killed"
    KILL_REPLICA = "replica killed"
    KILL_HOLDER = "holder killed"
    KILL_FRONT = "front killed"
    HANG = "replica stopped for a while"


FRONT = frozenset({Kind.KILL_FRONT})
"""What may fail the requests that were in flight in a front; nothing else may fail any."""
BRIEF = frozenset({Kind.KILL_SUPERVISOR, Kind.KILL_REPLICA, Kind.KILL_HOLDER, Kind.KILL_FRONT, Kind.HANG})
"""What asks for nothing new."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens: what, how big (a chance in 0..1), whether the next waits for its end, and a pause."""

    kind: Kind
    chance: float
    patient: bool
    pause: float

    @property
    def replicas(self) -> int:
        """How many replicas a scaling asks for."""
        return 1 + int(self.chance * MOST)


def script(seed: int, kinds: Sequence[Kind] = tuple(Kind)) -> Iterator[Moment]:
    """Say what happens, without an end: every kind once in a random order, then again in another."""
    dice = random.Random(seed)  # noqa: S311 - to be had again, not a secret
    while True:
        deck = list(kinds)
        dice.shuffle(deck)
        for kind in deck:
            yield Moment(
                kind=kind,
                chance=dice.random(),
                patient=dice.random() >= IMPATIENT,
                pause=dice.uniform(0.0, LONGEST_PAUSE),
            )
