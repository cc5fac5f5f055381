"""What happens to one service, written down; where the file cannot be written to, kept until it can, and told.

A full disk or a locked file must not keep a replica from being replaced.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from tiffin.deploy.local import clock
from tiffin.deploy.local.seen import Crash
from tiffin.deploy.local.state import Loss, State
from tiffin.errors import TiffinError

KEPT = 1000
"""So many events are kept for later."""
AGAIN_SECONDS = 5.0
"""How soon is tried again to write."""
WORDS, LONGEST = 10, 500
"""So many last lines of a replica that was lost are kept with the event, and so much of each."""
_FILE = "state"


class Journal:
    """The events and losses of one service, and the troubles that it has now."""

    def __init__(self, name: str, state: State) -> None:
        self._name, self._state = name, state
        self._told: dict[str, str] = {}
        self._events: deque[tuple[float, str, str, Mapping[str, Any]]] = deque(maxlen=KEPT)
        self._losses: deque[Loss] = deque(maxlen=KEPT)
        self._due = 0.0

    @property
    def troubles(self) -> tuple[str, ...]:
        """What goes wrong again and again."""
        return tuple(self._told.values())

    def note(self, kind: str, message: str, numbers: Mapping[str, Any] | None = None) -> None:
        """Write an event down, now or later."""
        self._events.append((time.time(), kind, message, numbers or {}))
        self.flush()

    def lose(self, loss: Loss) -> None:
        """Write down that a replica was lost, once for each container."""
        if any(loss.container == other.container for other in self._losses):
            return
        self._losses.append(loss)
        self.flush()

    def crashes(self) -> tuple[Crash, ...]:
        """The losses that count, whether they are written or not."""
        losses = [*self._state.losses(self._name), *self._losses]
        return tuple(loss.crash for loss in losses if loss.soon)

    def tell(self, what: str, message: str) -> None:
        """Write down what goes wrong, once until it is something else."""
        if self._told.get(what) != message:
            self._told[what] = message
            self.note("trouble", message)

    def over(self, what: str) -> None:
        """Forget a trouble."""
        self._told.pop(what, None)

    def flush(self) -> None:
        """Write what is to be written, unless that has just failed."""
        if clock.now() < self._due:
            return
        try:
            while self._losses:
                self._lose(self._losses[0])
                self._losses.popleft()
            while self._events:
                at, kind, message, numbers = self._events[0]
                self._state.note(self._name, kind, message, numbers, at)
                self._events.popleft()
        except TiffinError as error:
            self._due = clock.now() + AGAIN_SECONDS
            self._told[_FILE] = f"what happens is not written down: {error.message}"
        else:
            self._due = 0.0
            self.over(_FILE)

    def _lose(self, loss: Loss) -> None:
        if self._state.lose(self._name, loss):
            numbers = {
                "revision": loss.revision,
                "replica": loss.replica,
                "reason": loss.reason,
                "soon": loss.soon,
                "log": [line[:LONGEST] for line in loss.log[-WORDS:]],
            }
            words = f"a replica of revision {loss.revision} was lost: {loss.why}"
            self._events.append((time.time(), "lost", words, numbers))
