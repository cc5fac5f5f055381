"""Waiting for descriptors and for moments, one process and one thread. Standard library only (see `keeper`)."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """What is done when a descriptor can be read, and what is done in a while."""

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[], None]] = {}
        self._alarms: dict[str, tuple[float, Callable[[], None]]] = {}
        self._poll = select.poll()

    def watch(self, descriptor: int, action: Callable[[], None], events: int = select.POLLIN) -> None:
        """Do something whenever a descriptor can be read, or has one of these events, or has come to its end."""
        self._watched[descriptor] = action
        self._poll.register(descriptor, events)

    def forget(self, descriptor: int) -> bool:
        """Watch a descriptor no longer; says whether it was watched."""
        watched = self._watched.pop(descriptor, None) is not None
        if watched:
            self._poll.unregister(descriptor)
        return watched

    def later(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        """Do something in a while; an alarm that is already set under this name stays if it is due before."""
        due = time.monotonic() + max(0.0, seconds)
        if name not in self._alarms or due < self._alarms[name][0]:
            self._alarms[name] = (due, action)

    def clear(self) -> None:
        """Let nothing happen that was to be done in a while."""
        self._alarms.clear()

    def turn(self) -> None:
        """Wait for whatever comes first, and do what is due."""
        due = [due for due, _ in self._alarms.values()]
        patience = max(0.0, min(due) - time.monotonic()) * 1000 if due else None
        ready = [(descriptor, self._watched[descriptor]) for descriptor, _ in self._poll.poll(patience)]
        for descriptor, action in ready:
            if self._watched.get(descriptor) is action:  # else it was forgotten while its event waited, or is another
                action()
        for name, (moment, _) in list(self._alarms.items()):
            if time.monotonic() >= moment and (alarm := self._alarms.pop(name, None)):
                alarm[1]()


def signalled(number: int) -> int:
    """Turn a signal into a descriptor that can be read when it came."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read
