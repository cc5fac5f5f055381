"""Routes, answers and refusals: what all protocols of the HTTP port share."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output

Answers = Callable[[Exchange], None]
UNAVAILABLE = 503
RETRY = b"retry-after: 1\r\n"
"""For those who ask whether it is ready."""

encode = msgspec.json.Encoder().encode


class Route(NamedTuple):
    """Who answers a method of a path."""

    method: bytes
    path: str
    answers: Answers


def get(path: str, answers: Answers) -> Route:
    """Make a route that is read; HEAD comes with it."""
    return Route(b"GET", path, answers)


def post(path: str, answers: Answers) -> Route:
    """Make a route that is sent to."""
    return Route(b"POST", path, answers)


Reply = tuple[bytes, bytes]
"""The body of an answer and the headers that say what it is."""


class Waiting(msgspec.Struct, eq=False):
    """Someone who waits for a whole answer of the model; a subclass says how it is written."""

    _exchange: Exchange

    @property
    def gone(self) -> bool:
        """Say whether nobody waits any more."""
        return self._exchange.connection is None

    @property
    def exchange(self) -> Exchange:
        """Give the request that is to be answered."""
        return self._exchange

    def write(self, outputs: list[Output]) -> Reply:
        """Write the answer; raises RequestError."""
        raise NotImplementedError

    def part(self, outputs: list[Output]) -> None:
        """Take no part: an answer of this form is whole."""
        raise NotImplementedError

    def deliver(self, outputs: list[Output]) -> None:
        """Answer with the model's outputs."""
        try:
            body, headers = self.write(outputs)
        except RequestError as error:
            self.fail(error)
        else:
            self._exchange.answer(200, body, headers)

    def fail(self, error: RequestError) -> None:
        """Answer with the reason."""
        refuse(self._exchange, error)


def refuse(exchange: Exchange, error: RequestError) -> None:
    """Answer with the one form that errors have on every path: `{"error": "..."}`."""
    retry = b"retry-after: %d\r\n" % error.retry_seconds if error.status == UNAVAILABLE else b""
    exchange.refuse(error.status, error.message, retry)


@lru_cache(maxsize=64)
def media_type(header: bytes) -> bytes:
    """Give the first media type of a Content-Type or Accept header, without its parameters."""
    return header.partition(b",")[0].partition(b";")[0].strip().lower()
