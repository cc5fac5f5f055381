"""Speaking with a container through its streams, as a person or a program does who runs it or attaches to it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contract.engine_fixtures import DEADLINE
from programs.waiting import until
from tiffin.engine.keys import DETACH
from tiffin.engine.spec import CanAttach, Container, Streams

NEVER = -1


class Talk:
    """One who is attached: what is typed goes in at `ours`, and what is shown comes out there."""

    def __init__(self, container: Container, ours: tuple[int, int], streams: Streams, *, runs: bool) -> None:
        assert isinstance(container, CanAttach)
        self._container = container
        self.typing, self.showing = ours
        self._stdin = streams.stdin or 0
        self.seen = b""
        self.started = threading.Event()
        self.outcome: int | BaseException | None = NEVER
        attach = container.attach

        def work() -> None:
            try:
                self.outcome = (
                    container.run(streams, DETACH, self.started.set) if runs else attach(streams, DETACH)  # type: ignore[attr-defined]
                )
            except BaseException as error:  # noqa: BLE001 - it is the outcome
                self.outcome = error

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def type(self, text: bytes) -> None:
        """Type, or write."""
        os.write(self.typing, text)

    def press(self, keys: bytes) -> None:
        """Type keys as a person does: each when the one before has been read.

        A line that is not whole counts as read where the terminal still puts lines together, so that ends first.
        """
        until(lambda: not os.isatty(self._stdin) or not termios.tcgetattr(self._stdin)[3] & termios.ICANON)
        for key in keys:
            os.write(self.typing, bytes([key]))
            until(lambda: not _unread(self._stdin))

    def leave(self, keys: bytes) -> None:
        """Press the keys that leave it; podman's client, which reads them itself, now and then does not hear them."""
        self.press(keys)
        self._thread.join(DEADLINE)
        if self._thread.is_alive() and "clients" in type(self._container).__module__:
            self._container.stop(0)
            self._thread.join(DEADLINE)
            pytest.skip("podman did not hear its detach keys")

    def see(self, wanted: bytes) -> None:
        """Wait until this has been shown."""
        due = time.monotonic() + DEADLINE
        while wanted not in self.seen:
            ready, _, _ = select.select([self.showing], [], [], max(0.0, due - time.monotonic()))
            assert ready, f"{wanted!r} is not in {self.seen!r}; outcome {self.outcome!r}"
            data = os.read(self.showing, 4096)
            assert data, f"{wanted!r} is not in {self.seen!r}, and no more comes; outcome {self.outcome!r}"
            self.seen += data

    def see_bytes(self, count: int) -> None:
        """Wait until this many bytes have been shown."""
        while len(self.seen) < count:
            assert select.select([self.showing], [], [], DEADLINE)[0], f"{len(self.seen)} bytes of {count}"
            self.seen += os.read(self.showing, 1 << 16)

    def sees(self, wanted: bytes) -> bool:
        """Look whether this has been shown."""
        while select.select([self.showing], [], [], 0)[0]:
            self.seen += os.read(self.showing, 4096)
        return wanted in self.seen

    def end(self) -> int | None:
        """Wait for the end: the exit code, or None when it was left."""
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"it has not ended; seen {self.seen!r}"
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert self.outcome != NEVER
        return self.outcome


@contextmanager
def terminal(container: Container, *, runs: bool = True, stops: bool = True) -> Iterator[Talk]:
    """Attach through a terminal of 33 lines and 101 columns, which is afterwards as it was before."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (33, 101))
    before = termios.tcgetattr(theirs)
    talk = Talk(container, (ours, ours), Streams(stdin=theirs, stdout=theirs, stderr=theirs), runs=runs)
    try:
        yield talk
        talk.end()
        assert termios.tcgetattr(theirs) == before
    finally:
        if stops:
            container.stop(0)
        talk._thread.join(DEADLINE)
        for descriptor in (ours, theirs):
            os.close(descriptor)


@contextmanager
def pipes(container: Container, *, runs: bool = True, stdin: bool = True) -> Iterator[Talk]:
    """Attach through pipes; `typing` may be closed in between, by `os.close` and NEVER."""
    given, typing = os.pipe()
    showing, shown = os.pipe()
    streams = Streams(stdin=given if stdin else None, stdout=shown, stderr=shown)
    talk = Talk(container, (typing, showing), streams, runs=runs)
    try:
        yield talk
        talk.end()
    finally:
        container.stop(0)
        talk._thread.join(DEADLINE)
        for descriptor in (given, showing, shown, talk.typing):
            if descriptor != NEVER:
                os.close(descriptor)


def _unread(terminal: int) -> int:
    """The bytes that were typed and not read."""
    return int(struct.unpack("i", fcntl.ioctl(terminal, termios.FIONREAD, bytes(4)))[0])


def hang_up(talk: Talk) -> None:
    """Type no more."""
    os.close(talk.typing)
    talk.typing = NEVER
