"""Be told of every change, whatever happens between here and the server.

A watch begins with a list and goes on from its resource version; bookmarks move that on where nothing happens. When the
server has forgotten it (410, as a status or as an event) everything is listed anew, and what changed in between is told
by comparing with what was known (https://kubernetes.io/docs/reference/using-api/api-concepts/, "Efficient detection").
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from tiffin.deploy.kubernetes.client.asking import Asking, Question
from tiffin.deploy.kubernetes.client.lines import split_lines
from tiffin.deploy.kubernetes.client.listing import Object, Selection, read_list
from tiffin.deploy.kubernetes.client.refusals import ExpiredError, refused, status_of
from tiffin.errors import TiffinError, UnavailableError
from tiffin.network import BusyError

QUIET_SECONDS = 90.0
"""For how long a server says nothing at most: bookmarks come every minute, and one that is gone says nothing at all."""
_LONGEST_WATCH = 300
_SHORT_SECONDS = 1.0
"""A watch that ends sooner than that, and has told nothing, is not begun again at once."""
_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_LONGEST_WISH = 60.0
_SHORTEST = 0.05
_ERROR = "ERROR"
_BOOKMARK = "BOOKMARK"


class _Line(msgspec.Struct, frozen=True):
    type: str
    object: Object


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an object; `ADDED` is also how one that is there when the watch begins is told."""

    action: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


class Known:
    """What has been told of, so that nothing is told twice and nothing that went is left untold."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._objects: dict[tuple[str, str], Object] = {}

    def listed(self, items: Iterable[Object]) -> Iterator[Event]:
        """Tell what differs from a list of all there is: what went first, then what came or changed."""
        present = {_key(item): item for item in items}
        for key, known in list(self._objects.items()):
            if key not in present or _uid(present[key]) != _uid(known):
                del self._objects[key]
                yield Event(action="DELETED", object=known)
        for item in present.values():
            yield from self.told("ADDED", item)

    def told(self, action: str, item: Object) -> Iterator[Event]:
        """Tell what an event of the server's means beside what is known."""
        key = _key(item)
        known = self._objects.get(key)
        if action == "DELETED":
            if self._objects.pop(key, None) is not None:
                yield Event(action="DELETED", object=item)
        elif known is None or _version(known) != _version(item):
            self._objects[key] = item
            yield Event(action="ADDED" if known is None else "MODIFIED", object=item)


class Watch:
    """One watch: iterate over it once."""

    def __init__(self, asking: Asking, selection: Selection, timeout: float | None) -> None:
        """Watch these objects for so many seconds."""
        self._asking, self._selection = asking, selection
        self._until = float("inf") if timeout is None else time.monotonic() + timeout
        self._known = Known()
        self._version = ""
        self._opened = False
        self._failed = 0

    def __iter__(self) -> Iterator[Event]:
        """Tell of what is there, and then of each change, until the time is up."""
        while True:
            began, error = time.monotonic(), None
            try:
                yield from self._go_on()
            except ExpiredError:
                self._version = ""
            except BusyError as caught:
                error = caught
            lasted = self._opened and time.monotonic() - began >= _SHORT_SECONDS
            self._failed = 0 if lasted else self._failed + 1
            if self._is_over(error):
                return
            self._rest(error)

    def _go_on(self) -> Iterator[Event]:
        """List where nothing is known, then watch until that ends."""
        self._opened = False
        if not self._version:
            listing = read_list(self._asking, self._selection)
            self._version = listing.version
            yield from self._known.listed(listing.items)
        with self._asking.stream(self._question(), silence=max(_SHORTEST, min(self._left(), QUIET_SECONDS))) as pieces:
            self._opened = True
            for line in split_lines(pieces):
                yield from self._take(line)
                if self._left() <= 0:
                    return

    def _take(self, line: bytes) -> Iterator[Event]:
        """Tell what a line of the server's means."""
        try:
            said = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise BusyError(
                f"{self._asked}: a line is no event: {error}", "is that a Kubernetes API server?"
            ) from error
        if said.type == _ERROR:
            raise self._error(said.object)
        self._version = said.object.get("metadata", {}).get("resourceVersion", "") or self._version
        self._failed = 0
        if said.type != _BOOKMARK:
            yield from self._known.told(said.type, said.object)

    def _error(self, told: Object) -> TiffinError:
        """What the end of a watch means; it may be begun again unless somebody forbids it."""
        status = status_of(told)
        error = refused(status.code, status, self._asked)
        if isinstance(error, UnavailableError) and not isinstance(error, (ExpiredError, BusyError)):
            return BusyError(error.message, error.hint or "")
        return error

    def _is_over(self, error: BusyError | None) -> bool:
        """Whether the time is up; raises the error where nobody answered, or not for too often."""
        over = self._left() <= 0
        endless = self._until == float("inf") and self._failed >= self._asking.patience.attempts
        if error is not None and not self._opened and (over or endless):
            raise error
        return over

    def _rest(self, error: BusyError | None) -> None:
        """Wait as long as the server asks, or longer the more often it failed in a row, but not beyond our time."""
        asked = None if error is None else error.pause
        seconds = min(_PAUSE * 2 ** (self._failed - 1), _LONGEST_PAUSE) if self._failed else 0.0
        self._asking.patience.pause(max(0.0, min(seconds if asked is None else asked, self._left(), _LONGEST_WISH)))

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _question(self) -> Question:
        seconds = max(1, round(min(self._left(), _LONGEST_WATCH)))
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        return Question(
            path=self._selection.path, query={**self._selection.query, **query, "resourceVersion": self._version}
        )

    @property
    def _asked(self) -> str:
        return self._asking.shown(self._question())


def _key(item: Object) -> tuple[str, str]:
    about = item.get("metadata", {})
    return about.get("namespace", ""), about.get("name", "")


def _uid(item: Object) -> str:
    return str(item.get("metadata", {}).get("uid", ""))


def _version(item: Object) -> tuple[str, str]:
    return _uid(item), str(item.get("metadata", {}).get("resourceVersion", ""))
