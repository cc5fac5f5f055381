"""Which model a call asks: the only one, or one of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.workers.lines import Workers
from tiffin_serve.protocol.service import Service

Metadata = Mapping[str, str | bytes]


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is asked, and who may ask it: everyone, or whose `authorization` is accepted."""

    service: Service
    workers: Workers
    metrics: Metrics
    accept: Callable[[bytes], bool] | None = None


class Chosen(NamedTuple):
    """Who answers a call, for so many seconds; `headers` are said with the answer."""

    served: Served
    seconds: float | None
    headers: tuple[tuple[str, str], ...] = ()


class Switch(Protocol):
    """Gives each call to a model."""

    @property
    def ready(self) -> bool:
        """Whether calls are answered."""
        ...

    @property
    def most_bytes(self) -> int:
        """How long a message may be."""
        ...

    def main(self, metadata: Metadata) -> Served:
        """Give who answers what asks no model; raises RequestError where there is none of that name."""
        ...

    def choose(self, metadata: Metadata, seconds: float | None, size: int) -> AbstractAsyncContextManager[Chosen]:
        """Give who answers a call, for as long as it lasts; raises RequestError."""
        ...


class Sole:
    """The switch of a front of one model: there is nothing to choose."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.most_bytes = served.service.serve.max_body_bytes

    @property
    def ready(self) -> bool:
        """Say whether calls are answered."""
        return self._served.workers.ready

    def main(self, metadata: Metadata) -> Served:
        """Give the only one."""
        del metadata
        return self._served

    def choose(self, metadata: Metadata, seconds: float | None, size: int) -> AbstractAsyncContextManager[Chosen]:
        """Give the only one."""
        del metadata, size
        return _Found(Chosen(self._served, seconds))


class _Found(AbstractAsyncContextManager[Chosen]):
    """Has nothing to do at the end."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen

    async def __aenter__(self) -> Chosen:
        return self._chosen

    async def __aexit__(self, *_: object) -> None:
        return None
