"""A container's standard streams: pipes, or a terminal of its own, and the keeper's ends of them.

The terminal belongs to this machine's devpts; bubblewrap shows it in the container as /dev/console. The process that
becomes bubblewrap leads the session and stays outside; what the keys of the terminal send reaches the program in the
container. Bubblewrap ignores it, as the kernel lets the first process of a pid namespace. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios

_SIZE = "HHHH"


class Wires:
    """Three descriptors for a program until they are handed over, and what is read and written at this end.

    `outputs` are read, by the name of the stream; `input` is given to whoever attaches, and is the terminal itself if
    there is one. None of them blocks.
    """

    def __init__(self, size: tuple[int, int] | None, owner: tuple[int, int] | None, *, stdin: bool) -> None:
        self.has_terminal = size is not None
        self.input: int | None = None
        self.theirs = [*self._terminal(size)] if size is not None else [*self._pipes(stdin=stdin)]
        self._own = self.theirs[0 if stdin else 1 :]
        for descriptor in (*self.outputs.values(), self.input):
            if descriptor is not None:
                os.set_blocking(descriptor, False)
        if owner is not None:
            self.give(*owner)

    def give(self, user: int, group: int) -> None:
        """Let a user open the program's ends anew, as `/dev/stdout`."""
        for descriptor in self._own:
            os.fchown(descriptor, user, group)

    def _terminal(self, size: tuple[int, int]) -> tuple[int, int, int]:
        master, terminal = os.openpty()
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack(_SIZE, *size, 0, 0))
        self.outputs, self.input = {"stdout": master}, master
        return terminal, os.dup(terminal), os.dup(terminal)

    def _pipes(self, *, stdin: bool) -> tuple[int, int, int]:
        given = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if stdin:
            os.close(given)
            given, self.input = os.pipe()
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        self.outputs = {"stdout": out, "stderr": err}
        return given, stdout, stderr

    def handed_over(self) -> None:
        """Close the program's ends: it has them."""
        while self.theirs:
            os.close(self.theirs.pop())

    def end_input(self) -> None:
        """Let the program see the end of its input, once nobody else has this end of it; a terminal has none."""
        if self.input is not None and not self.has_terminal:
            os.close(self.input)
            self.input = None

    def end_output(self, stream: str) -> None:
        """Let go of an output that has ended; a terminal's takes the input along."""
        os.close(self.outputs.pop(stream))
        if self.has_terminal:
            self.input = None

    def close(self) -> None:
        """Let go of everything: what was written has been read."""
        self.handed_over()
        self.end_input()
        for stream in [*self.outputs]:
            self.end_output(stream)


def take(terminal: int) -> None:
    """Lead a session whose terminal this is, so that its keys send signals."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def read(descriptor: int, size: int) -> bytes | None:
    """Read what was written, None where that is nothing yet; of a terminal that nobody has any more, EIO is the end."""
    try:
        return os.read(descriptor, size)
    except BlockingIOError:
        return None
    except OSError:
        return b""
