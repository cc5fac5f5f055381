"""`exec`: one more program in a container that runs, or in a replica of a service."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tiffin.api.containers.options import parse_variable
from tiffin.api.reaching.reach import Reach, reached
from tiffin.engine.spec import CanExec, Command, Streams
from tiffin.errors import ConfigError, UnsupportedError

STANDARD = Streams(stdin=0, stdout=1, stderr=2)


_ANYWHERE = Reach()


def execute(name: str, command: Command, *, interactive: bool, detach: bool = False, reach: Reach = _ANYWHERE) -> int:
    """Run a program in a container with this process's standard streams, and return its exit code.

    Input is passed on only if `interactive`; a program to `detach` from has no streams, and 0 says that it was begun.
    Raises ConfigError for a terminal where there is none.
    """
    if detach and (interactive or command.tty):
        raise ConfigError("a program that is left to itself has neither input nor a terminal", "leave `-d` out")
    if command.tty and interactive and not os.isatty(0):
        raise ConfigError("standard input is no terminal", "leave `-t` out: `tiffin exec -i …`")
    container = reached(name, reach)
    if not isinstance(container, CanExec):
        raise UnsupportedError(f"{name} is of an engine that runs no further programs", "run another container")
    streams = STANDARD if interactive else Streams(stdout=1, stderr=2)
    return container.exec(command, None if detach else streams)


def variables(texts: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE`, or `NAME` for the value it has here."""
    return dict(parse_variable(text, os.environ) for text in texts)
