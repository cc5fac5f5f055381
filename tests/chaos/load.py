"""A steady load by several client processes, and the account of every request that they sent."""

from __future__ import annotations

import json
import subprocess
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chaos import client
from chaos.client import COUNTERS

CLIENTS = 2
CONNECTIONS = 8
"""Of each client."""
PATIENCE = 60.0
"""Seconds after which a request that has no answer is a failure."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one client process is told: whom it asks how often, and where its account goes."""

    name: str
    port: int
    path: str
    rate: float
    seed: int
    counters: str
    account: str
    times: str
    connections: int = CONNECTIONS
    patience: float = PATIENCE


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was not answered as expected: what was seen, when it was sent and seen to fail.

    `opened` is when its connection was; times are those of the monotonic clock, which all processes share.
    """

    kind: str
    text: str
    request: str
    sent: float
    opened: float
    ended: float


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every request: `sent` is the sum of the other three, or somebody has miscounted."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    refused: int = 0
    revisions: dict[str, int] = {}
    failures: tuple[Failure, ...] = ()

    def __add__(self, other: Account) -> Account:
        """Add two accounts."""
        return Account(
            sent=self.sent + other.sent,
            answered=self.answered + other.answered,
            failed=self.failed + other.failed,
            refused=self.refused + other.refused,
            revisions=dict(Counter(self.revisions) + Counter(other.revisions)),
            failures=tuple(sorted((*self.failures, *other.failures), key=lambda one: one.ended)),
        )


class Times:
    """When each request that was answered was sent, and how long it took, in the order of sending."""

    def __init__(self, pairs: Sequence[tuple[float, float]] = ()) -> None:
        self._pairs = sorted(pairs)

    def between(self, begin: float, end: float) -> list[float]:
        """The seconds of those that were sent then, shortest first."""
        first, last = (bisect_left(self._pairs, (moment,)) for moment in (begin, end))
        return sorted(took for _, took in self._pairs[first:last])


class Load:
    """Clients that ask a port at a steady pace while the block of `on` runs."""

    def __init__(self, folder: Path, port: int, path: str, *, rate: float, seed: int = 0) -> None:
        self._folder = folder
        self._orders = [
            Order(
                name=f"c{number}",
                port=port,
                path=path,
                rate=rate / CLIENTS,
                seed=seed * CLIENTS + number,
                counters=str(folder / f"c{number}.counters"),
                account=str(folder / f"c{number}.json"),
                times=str(folder / f"c{number}.times"),
            )
            for number in range(CLIENTS)
        ]
        self.account, self.times = Account(), Times()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Ask while the block runs, and read the accounts after it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        clients = [self._start(order) for order in self._orders]
        try:
            yield
        finally:
            for one in clients:
                one.communicate(timeout=2 * PATIENCE)
        assert [one.returncode for one in clients] == [0] * len(clients), "a client died"
        self._read()

    def counted(self) -> tuple[int, int, int, int]:
        """How many were sent, answered, failed and refused until now."""
        found = [COUNTERS.unpack(Path(order.counters).read_bytes()) for order in self._orders]
        sent, answered, failed, refused = (sum(column) for column in zip(*found, strict=True))
        return sent, answered, failed, refused

    def _start(self, order: Order) -> subprocess.Popen[bytes]:
        Path(order.counters).write_bytes(bytes(COUNTERS.size))
        argv = [sys.executable, "-I", client.__file__, json.dumps(msgspec.to_builtins(order))]
        return subprocess.Popen(argv, stdin=subprocess.PIPE)

    def _read(self) -> None:
        pairs: list[tuple[float, float]] = []
        for order in self._orders:
            self.account += msgspec.json.decode(Path(order.account).read_bytes(), type=Account)
            numbers = array("d")
            numbers.frombytes(Path(order.times).read_bytes())
            pairs += zip(numbers[::2], numbers[1::2], strict=True)
        self.times = Times(pairs)
