"""What the replicas of a service write as one stream: those that are there, those that come, those that are lost."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from tiffin.deploy.local.state import Event
from tiffin.engine.spec import Container, LogLine
from tiffin.errors import TiffinError

Line = tuple[str, LogLine]
Containers = Callable[[], Sequence[Container]]
Events = Callable[[int, float], Sequence[Event]]
"""The events of the service after one of them; waits so many seconds for the first."""
LOOK_SECONDS = 10.0
"""How often is looked for replicas although none was heard of."""
WAIT_SECONDS = 15.0
AGAIN_SECONDS = 1.0
LOST, STARTED, DELETED = "lost", "start", "deleted"
MANY = 1 << 30


def lines(containers: Sequence[Container], events: Sequence[Event], tail: int | None) -> Iterator[Line]:
    """What is there, of each replica at most the last `tail` lines, and what is known of those that are gone."""
    return heapq.merge(
        *(_written(container, tail) for container in containers),
        _gone(events, {container.spec.name for container in containers}, tail),
        key=lambda line: line[1].time,
    )


def _written(container: Container, tail: int | None) -> list[Line]:
    """One that has just been removed has written nothing."""
    try:
        found = list(container.logs())
    except (TiffinError, OSError):
        return []
    first = 0 if tail is None else max(len(found) - tail, 0)
    return [(container.spec.name, line) for line in found[first:]]


def _gone(events: Sequence[Event], there: set[str], tail: int | None) -> list[Line]:
    return [
        line
        for event in events
        if event.kind == LOST and event.numbers.get("replica") not in there
        for line in last_words(event, tail)
    ]


def last_words(event: Event, tail: int | None = None) -> list[Line]:
    """What is known of a replica that was lost: its last lines, and why."""
    name = str(event.numbers.get("replica") or event.service)
    at = datetime.fromtimestamp(event.time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    words = [*event.numbers.get("log", []), f"[{event.message}]"]
    first = 0 if tail is None else max(len(words) - tail, 0)
    return [(name, LogLine(time=at, stream="stderr", text=text)) for text in words[first:]]


class Following:
    """Reads each replica in a thread of its own; the supervisor's events say at once who comes, and who was lost."""

    def __init__(self, containers: Containers, events: Events, after: int) -> None:
        self._containers, self._events, self._after = containers, events, after
        self._heard: queue.SimpleQueue[Line | Event] = queue.SimpleQueue()
        self._followed: set[str] = set()
        self._names: set[str] = set()

    def lines(self, tail: int | None) -> Iterator[Line]:
        """Go on until the service is deleted, or whoever reads has enough: threads then last as long as the process."""
        there = self._containers()
        counts = {container.id: _count(container) for container in there}
        for container in there:
            self._follow(container, 0 if tail is None else max(counts[container.id] - tail, 0))
        threading.Thread(target=self._listen, daemon=True).start()
        yield from self._settled(sum(min(count, tail if tail is not None else count) for count in counts.values()))
        due = time.monotonic() + LOOK_SECONDS
        while True:
            try:
                heard = self._heard.get(timeout=max(due - time.monotonic(), 0.0))
            except queue.Empty:
                heard = None
            if isinstance(heard, tuple):
                yield heard
            elif heard is not None and heard.kind == LOST:
                known = heard.numbers.get("replica") in self._names
                yield from last_words(heard)[-1:] if known else last_words(heard)
            elif heard is not None and heard.kind == DELETED:
                yield from self._settled(MANY)
                return
            if not isinstance(heard, tuple) or time.monotonic() >= due:
                self._look()
                due = time.monotonic() + LOOK_SECONDS

    def _settled(self, count: int) -> list[Line]:
        """What has been written and is on its way, in the order of time: so many lines, or until none comes."""
        found, later = list[Line](), list[Event]()
        due = time.monotonic() + AGAIN_SECONDS
        while len(found) < count and (left := due - time.monotonic()) > 0:
            try:
                heard = self._heard.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(heard, tuple):
                found.append(heard)
                due = time.monotonic() + AGAIN_SECONDS
            else:
                later.append(heard)
        for event in later:
            self._heard.put(event)
        return sorted(found, key=lambda line: line[1].time)

    def _look(self) -> None:
        """Follow who has come."""
        for container in self._containers():
            if container.id not in self._followed:
                self._follow(container, 0)

    def _follow(self, container: Container, skipped: int) -> None:
        name = container.spec.name
        self._followed.add(container.id)
        self._names.add(name)

        def read() -> None:
            try:
                for number, line in enumerate(container.logs(follow=True)):
                    if number >= skipped:
                        self._heard.put((name, line))
            except (TiffinError, OSError):  # it was removed while this looked
                return

        threading.Thread(target=read, daemon=True).start()

    def _listen(self) -> None:
        """Hear of replicas that come and go; a supervisor that is not there for a while is asked again."""
        while True:
            try:
                events = self._events(self._after, WAIT_SECONDS)
            except TiffinError:
                time.sleep(AGAIN_SECONDS)
                continue
            for event in events:
                self._after = event.id
                if event.kind in {STARTED, LOST, DELETED}:
                    self._heard.put(event)
                if event.kind == DELETED:
                    return


def _count(container: Container) -> int:
    return len(_written(container, None))
