"""What is watched, drawn whenever there is something newer or a key is pressed, until somebody has seen enough."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from tiffin.api.services.top import Row, Watcher
from tiffin.cli.pages import Looking, page, pressed
from tiffin.cli.screen import Screen, colourful
from tiffin.errors import NotFoundError, TiffinError


class Sampler:
    """Looks in a thread of its own, so that keys are heard while an answer takes long; `heard` can be read then."""

    def __init__(self, look: Callable[[], list[Row]], interval: float) -> None:
        self._look, self._interval = look, interval
        self.heard, self._bell = os.pipe()
        self.rows: list[Row] = []
        self.trouble = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stopped.set()

    def _run(self) -> None:
        pause = min(self._interval, 0.5)  # the second look is the first that has rates
        while not self._stopped.is_set():
            try:
                self.rows, self.trouble = self._look(), ""
            except TiffinError as error:
                self.trouble = error.message
                if isinstance(error, NotFoundError):
                    self.rows = []
            os.write(self._bell, b".")
            self._stopped.wait(pause)
            pause = self._interval


def live(watcher: Watcher, name: str, sort: str, interval: float) -> None:
    """Watch until `q`; what is wrong from the start, as a name that nothing has, is raised before anything is drawn."""
    first = watcher.rows()
    sampler = Sampler(watcher.rows, interval)
    sampler.rows = first
    looking: Looking | None = Looking(service=name, stays=bool(name), sort=sort)
    colour = colourful()
    with Screen() as screen:
        sampler.start()
        while looking:
            screen.draw(page(sampler.rows, looking, screen.size, sampler.trouble, colour=colour))
            key = screen.wait(sampler.heard)
            if key == "heard":
                os.read(sampler.heard, 64)
            elif key == "end":
                break
            elif key != "resize":
                looking = pressed(looking, key, sampler.rows)
        sampler.stop()
