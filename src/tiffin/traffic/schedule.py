"""When requests are due: decided before anything is sent, so that a slow server cannot slow the questions down.

A closed loop asks again when it was answered, and so measures a server that is never asked more than it can take. An
open loop asks when it is time, as users do; an answer's latency counts from the moment its request was due, whatever
kept it from leaving ("coordinated omission": Tene, "How NOT to Measure Latency", 2013).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from tiffin.errors import ConfigError


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is asked: for so many seconds over so many connections.

    With a `rate`, in requests a second, the loop is open; `even` spaces its requests evenly, else they come as at a
    counter (Poisson), from `seed`. What is answered in the first `warm_up` seconds is not counted.
    """

    seconds: float = 10.0
    warm_up: float = 1.0
    connections: int = 16
    rate: float = 0.0
    even: bool = False
    seed: int = 1
    time_out: float = 30.0

    def check(self) -> None:
        """Raise ConfigError where a number makes no sense."""
        if self.seconds <= 0 or self.warm_up < 0 or self.time_out <= 0:
            raise ConfigError("a load lasts longer than 0 seconds", "such as `--seconds 10`")
        if self.connections < 1 or self.rate < 0:
            raise ConfigError("a load needs a connection, and a rate above 0", "such as `--connections 16 --rate 500`")


def due(load: Load) -> Iterator[float]:
    """Give the moments, in seconds from the beginning, at which an open loop asks."""
    chance = random.Random(load.seed)  # noqa: S311 - a load that can be repeated, no secret
    moment, end = 0.0, load.warm_up + load.seconds
    while True:
        moment += 1 / load.rate if load.even else chance.expovariate(load.rate)
        if moment >= end:
            return
        yield moment
