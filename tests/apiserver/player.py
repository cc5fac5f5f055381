"""Plays a controller behind a server: whenever something changes, everything is decided anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from apiserver.server import ApiServer

_WAKE_SECONDS = 0.05


@dataclass
class Player:
    """What plays; `settle` decides everything once."""

    server: ApiServer
    stopping: bool = field(default=False, kw_only=True)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Play for a while."""
        thread = threading.Thread(target=self._play, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopping = True
            thread.join()

    def settle(self) -> None:
        """Decide everything once."""
        raise NotImplementedError

    def _play(self) -> None:
        store = self.server.store
        while not self.stopping:
            with store.changed:
                before = store.version
                self.settle()
                if store.version == before:
                    store.changed.wait(_WAKE_SECONDS)
