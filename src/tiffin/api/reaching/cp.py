"""`cp`: files into a container that runs, or a replica of a service, and out of it."""

from __future__ import annotations

import re
import sys

from tiffin.api.reaching.reach import Reach, reached
from tiffin.engine.spec import CanCopy
from tiffin.errors import ConfigError, UnsupportedError

_IN_CONTAINER = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*):(.+)", re.DOTALL)


_ANYWHERE = Reach()


def copy(source: str, target: str, reach: Reach = _ANYWHERE) -> None:
    """Copy between this machine and a container; one of the two is `NAME:PATH`, as in docker.

    The other may be `-`: a tar on standard input or output.
    """
    here, there = (_IN_CONTAINER.fullmatch(text) for text in (source, target))
    if bool(here) == bool(there):
        where = "both" if here else "neither"
        joint = "and" if here else "nor"
        verb = "are in containers" if here else "is in a container"
        raise ConfigError(
            f"{where} {source!r} {joint} {target!r} {verb}",
            "write it as `tiffin cp one:/path ./here` or `tiffin cp ./here one:/path`",
        )
    if here and target == "-":
        _tar_out(_container(here[1], reach), here[2])
    elif here:
        _container(here[1], reach).copy_out(here[2], target)
    elif there and source == "-":
        _container(there[1], reach).tar_in(sys.stdin.buffer, there[2])
    elif there:
        _container(there[1], reach).copy_in(source, there[2])


def _tar_out(container: CanCopy, path: str) -> None:
    if sys.stdout.isatty():
        raise ConfigError("a tar is nothing for a terminal", "put it into a file, `> here.tar`, or a pipe")
    container.tar_out(path, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _container(name: str, reach: Reach) -> CanCopy:
    container = reached(name, reach)
    if not isinstance(container, CanCopy):
        raise UnsupportedError(f"{name} is of an engine that copies no files", "mount a folder: `-v ./data:/data`")
    return container
