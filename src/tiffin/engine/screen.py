"""The caller's terminal, while it belongs to a program elsewhere; afterwards it is as it was, however that ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
import threading
import tty

TYPE_CHECKING = False  # what `typing` calls the same; importing it would delay what is started again
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]

_SIZE = "HHHH"
_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a process without its `finally`."""

USUAL = (24, 80)
"""The lines and columns of what is no terminal, as terminals have always had them."""


def size(*descriptors: int | None) -> tuple[int, int]:
    """The lines and columns of the first that is a terminal; `USUAL` where none is."""
    for descriptor in descriptors:
        if descriptor is not None and os.isatty(descriptor):
            lines, columns, _, _ = struct.unpack(_SIZE, fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
            return lines, columns
    return USUAL


def resize(other: int, lines: int, columns: int) -> None:
    """Give another terminal a size; one that has just ended needs none."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack(_SIZE, lines, columns, 0, 0))


@contextlib.contextmanager
def restored(terminal: int | None) -> Iterator[None]:
    """Let a terminal be afterwards as it was before, also when a signal ends this process."""
    if terminal is None or not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)

    def end(number: int, _frame: FrameType | None) -> None:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    with contextlib.ExitStack() as handled:
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                handled.enter_context(handling(number, end))
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):  # it hung up
                termios.tcsetattr(terminal, termios.TCSANOW, before)


@contextlib.contextmanager
def raw(terminal: int | None, *, other: int | None) -> Iterator[None]:
    """Let every key go through to another terminal, if there is one."""
    if other is None or terminal is None or not os.isatty(terminal):
        yield
        return
    with restored(terminal):
        tty.setraw(terminal, termios.TCSANOW)  # what was typed ahead is for the program
        yield


@contextlib.contextmanager
def resizing(other: int | None, *terminals: int | None) -> Iterator[None]:
    """Let another terminal have the size of the first of these that is one, now and whenever it changes."""
    if other is None or not any(terminal is not None and os.isatty(terminal) for terminal in terminals):
        yield
        return
    resize(other, *size(*terminals))
    with handling(signal.SIGWINCH, lambda *_: resize(other, *size(*terminals))):
        yield


@contextlib.contextmanager
def handling(number: int, handler: Handler) -> Iterator[None]:
    """Handle a signal meanwhile, where that can be done: in the first thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
