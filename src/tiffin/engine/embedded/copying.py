"""Copy files into a container and out of it: our end of the copy, and the process that is the container's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from typing import IO, BinaryIO, cast

from tiffin.engine.embedded import transfer, tree
from tiffin.engine.embedded.boot import paper, python
from tiffin.engine.embedded.stage import Refused
from tiffin.errors import (
    CommandError,
    ConfigError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    TiffinError,
    UnsupportedError,
)

_KINDS = (CommandError, ConfigError, DeniedError, IntegrityError, NotFoundError, UnsupportedError)
_ERRORS: dict[str, type[TiffinError]] = {kind.code: kind for kind in _KINDS}


Words = tuple[str, str, str]
"""The kind of a refusal, its message, its hint."""


class Files:
    """A container's files, given a descriptor of its /proc/PID; `become` is their user and group on this machine.

    Of a container with `several` users they are read and written as its root.
    """

    def __init__(self, process: int, name: str, become: tuple[int, int] | None, *, several: bool = False) -> None:
        self._process, self._name, self._become, self._several = process, name, become, several

    def copy_out(self, path: str, target: str) -> None:
        """Copy from the container to this machine."""
        self._transfer(path, "", lambda stream: tree.receive(stream, _open_folder, target, path))

    def copy_in(self, source: str, path: str) -> None:
        """Copy from this machine to the container."""
        self._transfer(path, source, lambda stream: tree.send(_open_folder, source, stream))

    def tar_out(self, path: str, out: BinaryIO) -> None:
        """Write what the container has as a tar."""
        self._transfer(path, "", lambda stream: shutil.copyfileobj(stream, out), tar=True)

    def tar_in(self, stream: BinaryIO, path: str) -> None:
        """Take a tar into the container."""
        self._transfer(path, "-", lambda out: shutil.copyfileobj(stream, out), tar=True)

    def _transfer(self, path: str, source: str, work: Callable[[BinaryIO], None], *, tar: bool = False) -> None:
        """Do our end of the copy while a process does the other; what that one refuses is the reason of both."""
        plan: transfer.Plan = {
            "process": self._process,
            "become": self._become,
            "several": self._several,
            "path": path,
            "source": source,
            "tar": tar,
        }
        ours, theirs = _both_ends(plan, work)
        if theirs and (ours is None or theirs[0] != tree.GONE):
            kind, message, hint = theirs
            raise _ERRORS.get(kind, CommandError)(f"{self._name}:{message}", hint or None)
        if ours:
            raise _ERRORS.get(ours[0], CommandError)(ours[1], ours[2] or None)


def _open_folder(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _both_ends(plan: transfer.Plan, work: Callable[[BinaryIO], None]) -> tuple[Words | None, Words | None]:
    """Work at our end of a process that does the other; why each of them gave up, if it did."""
    inward = bool(plan["source"])
    with tempfile.TemporaryFile() as words:
        helper = _spawn(plan, words, inward=inward)
        ours: Words | None = None
        try:
            with cast("BinaryIO", helper.stdin if inward else helper.stdout) as stream:
                work(stream)
        except Refused as error:
            ours = error.kind, str(error), error.hint
        except BrokenPipeError:
            ours = tree.GONE, "", ""
        finally:
            helper.wait()
        words.seek(0)
        return ours, _said(words.read()) if helper.returncode else None


def _spawn(plan: transfer.Plan, words: IO[bytes], *, inward: bool) -> subprocess.Popen[bytes]:
    with paper(plan) as descriptor:
        return subprocess.Popen(
            [*python("transfer"), str(descriptor)],
            stdin=subprocess.PIPE if inward else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if inward else subprocess.PIPE,
            stderr=words,
            cwd="/",
            env={},
            pass_fds=(plan["process"], descriptor),
        )


def _said(words: bytes) -> Words:
    """Why the other process gave up."""
    try:
        kind, message, hint = json.loads(words)
    except ValueError:
        return "command", " " + (words.decode(errors="replace").strip().splitlines() or ["killed"])[-1], ""
    return kind, message, hint
