"""Bytes from one descriptor to another, and the caller's terminal while it belongs to a program elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import threading
import tty
from collections.abc import Iterator

_CHUNK = 1 << 16
_SIZE = "HHHH"


def copy(source: int, sink: int, done: int, *, keep: bool = False, drain: bool = True) -> None:
    """Copy until the source ends or the sink is gone, or until `done` ends: then what is there still, if `drain`.

    The source is closed, unless it is to be kept: whoever writes there learns that nobody reads.
    """
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(done, select.POLLIN)
    try:
        while ready := dict(poll.poll()):
            if done in ready and not (drain and source in ready):
                return
            if not _pass(source, sink):
                return
    finally:
        if not keep:
            os.close(source)


def _pass(source: int, sink: int) -> bool:
    """Pass one piece on; say whether there may be more."""
    try:
        data = os.read(source, _CHUNK)
        view = memoryview(data)
        while view:
            view = view[os.write(sink, view) :]
    except OSError:  # the sink's reader is gone, or the terminal's other end
        return False
    return bool(data)


def size(descriptor: int | None) -> tuple[int, int]:
    """The lines and columns of a terminal; of anything else, what terminals have always had."""
    if descriptor is None or not os.isatty(descriptor):
        return 24, 80
    lines, columns, _, _ = struct.unpack(_SIZE, fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    return lines, columns


@contextlib.contextmanager
def raw(terminal: int | None, other: int | None) -> Iterator[None]:
    """Let every key go through to another terminal, and that one have the size of ours, also when it changes."""
    if other is None or terminal is None or not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    with _resizing(terminal, other):
        tty.setraw(terminal)
        try:
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(terminal: int, other: int) -> Iterator[None]:
    def resize(*_: object) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack(_SIZE, *size(terminal), 0, 0))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
