"""A terminal that is drawn on as a whole, and is as it was when that ends, whatever ends it. Standard library only."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Self

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J", "\x1b[?25h\x1b[?1049l"
_KEYS = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left", b"\x1bOA": "up", b"\x1bOB": "down",
    b"\x1bOC": "right", b"\x1bOD": "left", b"\x1b[5~": "page-up", b"\x1b[6~": "page-down", b"\x1b[H": "home",
    b"\x1b[F": "end", b"\x1bOH": "home", b"\x1bOF": "end", b"\r": "enter", b"\n": "enter", b"\x1b": "escape",
    b"\x7f": "left", b"\x04": "q",
}  # fmt: skip
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)
_HEARD = (*_ENDING, signal.SIGWINCH, signal.SIGTSTP)
_REST_OF_KEY = 0.05
"""Seconds after which an Escape is one, and not the beginning of an arrow."""
Handler = Callable[[int, FrameType | None], object] | int | None


def usable() -> bool:
    """Whether there is a terminal that can be drawn on, at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def colourful() -> bool:
    """Whether colours are welcome (no-color.org)."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")


class Screen:
    """The terminal of this process, in whose main thread this lives, while it is entered.

    A signal that ends the process, or stops it for a while, gives the terminal back first.
    """

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._ended = 0
        self._handlers: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._in)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._old_waker = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, lambda *_: None) for number in _HEARD}
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        signal.set_wakeup_fd(self._old_waker)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._waker)
        if self._ended == signal.SIGINT:
            raise KeyboardInterrupt
        if self._ended:
            signal.signal(self._ended, signal.SIG_DFL)
            os.kill(os.getpid(), self._ended)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with contextlib.suppress(OSError):
            columns, lines = os.get_terminal_size(self._out)
            if columns and lines:
                return columns, lines
        return 80, 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, which fit, and nothing else."""
        self._write("\x1b[H" + "\r\n".join(f"{line}\x1b[0m\x1b[K" for line in lines) + "\x1b[J")

    def wait(self, heard: int) -> str:
        """Wait for a key, by its name or letter; `resize`, `end`, or `heard` when that descriptor can be read."""
        ready, _, _ = select.select([self._in, self._woken, heard], [], [])
        if self._woken in ready:
            return self._signalled(os.read(self._woken, 64))
        return self._key() if self._in in ready else "heard"

    def _key(self) -> str:
        try:
            data = os.read(self._in, 64)
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            return "end"
        if data == b"\x1b" and select.select([self._in], [], [], _REST_OF_KEY)[0]:
            data += os.read(self._in, 64)
        return _KEYS.get(data) or data[:1].decode("ascii", "ignore")

    def _signalled(self, numbers: bytes) -> str:
        for number in numbers:
            if number in _ENDING:
                self._ended = number
                return "end"
            if number == signal.SIGTSTP:
                self._stop()
        return "resize"

    def _stop(self) -> None:
        """Be stopped by the shell as anything else, and go on when it says so."""
        self._give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._take()

    def _take(self) -> None:
        tty.setcbreak(self._in, termios.TCSANOW)
        self._write(_ENTER)

    def _give_back(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # whoever closed the terminal needs none back
            self._write(_LEAVE)
            termios.tcsetattr(self._in, termios.TCSANOW, self._before)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._out, data) :]
