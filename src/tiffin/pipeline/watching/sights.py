"""What a pipeline is watched for, looked at over and over, and cheaply: folders by their times, tags by a HEAD."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tiffin.errors import ConflictError, NotFoundError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.pipeline.keeping.content import RACY, Contents
from tiffin.pipeline.keeping.folders import Seen, look
from tiffin.pipeline.watching.triggers import Sight

_AGAIN = 1.0
"""Seconds until data is looked at again that changed while it was read."""
ASKED_EVERY = 60.0
"""Seconds between two questions to a registry; while it does not answer, twice as many each time."""
ASKED_AT_LEAST = 900.0


class Looks(Protocol):
    """Something that is watched; `problem` is why nobody can say what it is now."""

    problem: TiffinError | None

    def look(self) -> Sight:
        """See what it is now; raises nothing."""
        ...


class Data:
    """A file or folder, read once it has been still for `settle` seconds, and then only when its times are others."""

    def __init__(
        self,
        path: Path,
        contents: Contents,
        settle: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """Watch a path; `clock` gives seconds and is never set, `wall` nanoseconds since 1970."""
        self.problem: TiffinError | None = None
        self._path, self._contents, self._settle, self._clock, self._wall = path, contents, settle, clock, wall
        self._signature, self._digest, self._changed = "", "", 0.0

    def look(self) -> Sight:
        """See what lies there; nothing is a sight too, of which nobody can say what it is."""
        try:
            sight = self._sight()
        except TiffinError as error:
            self.problem, self._signature = error, ""
            return Sight()
        self.problem = None
        return sight

    def _sight(self) -> Sight:
        seen = self._seen()
        if self._digest:
            return Sight(digest=self._digest)
        left = self._settle - (self._clock() - self._changed)
        if left > 0:
            return Sight(unsettled=left)
        try:
            digest = str(self._contents.of(self._path).digest)
        except ConflictError:  # somebody writes it at this moment
            self._changed = self._clock()
            return Sight(unsettled=max(self._settle, _AGAIN))
        if seen.newest < self._wall() - RACY:  # or it might be written once more and have the same times
            self._digest = digest
        return Sight(digest=digest)

    def _seen(self) -> Seen:
        """Look at its times; what is seen for the first time has been still since the latest of them."""
        try:
            seen = look(self._path.resolve(strict=True))
        except OSError as error:
            raise NotFoundError(
                f"{self._path} is not there", "it is waited for; `[pipeline] watch` names it"
            ) from error
        signature = seen.signature
        if signature != self._signature:
            still = 0.0 if self._signature else max(0.0, (self._wall() - seen.newest) / 1e9)
            self._signature, self._digest, self._changed = signature, "", self._clock() - still
        return seen


class Tag:
    """A tag of a registry, which is asked from time to time what it means."""

    def __init__(self, ask: Callable[[], Digest], clock: Callable[[], float] = time.monotonic) -> None:
        """Watch what `ask` gives, which raises where the registry does not answer."""
        self.problem: TiffinError | None = None
        self._ask, self._clock = ask, clock
        self._digest, self._next, self._pause = "", clock(), ASKED_EVERY

    def look(self) -> Sight:
        """Tell what it means, or meant when the registry last answered."""
        if self._clock() >= self._next:
            self._look()
        return Sight(digest=self._digest)

    def _look(self) -> None:
        try:
            self._digest, self.problem, self._pause = str(self._ask()), None, ASKED_EVERY
        except TiffinError as error:
            if self.problem:
                self._pause = min(self._pause * 2, ASKED_AT_LEAST)
            self.problem = error
        self._next = self._clock() + self._pause
