"""Copy files into a container and out of it: our end of the copy, and the process that is the container's."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from typing import IO, BinaryIO, cast

from tiffin.engine.embedded import transfer, tree
from tiffin.engine.embedded.ids import identity
from tiffin.engine.embedded.launch import python
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.stage import Refused
from tiffin.engine.spec import ContainerSpec
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


def copy_out(process: int, spec: ContainerSpec, path: str, target: str) -> None:
    """Copy from a container to this machine."""
    _transfer(process, spec, path, "", lambda stream: tree.receive(stream, _open_folder, target, path))


def copy_in(process: int, spec: ContainerSpec, source: str, path: str) -> None:
    """Copy from this machine to a container."""
    _transfer(process, spec, path, source, lambda stream: tree.send(_open_folder, source, stream))


def _open_folder(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _transfer(process: int, spec: ContainerSpec, path: str, source: str, work: Callable[[BinaryIO], None]) -> None:
    """Do our end of the copy while a process does the other; what that one refuses is the reason of both."""
    plan = _plan(process, spec, path, source)
    with tempfile.TemporaryFile() as words:
        helper = _spawn(plan, words, inward=bool(source))
        ours: tuple[str, str, str] | None = None
        try:
            with cast("BinaryIO", helper.stdin if source else helper.stdout) as stream:
                work(stream)
        except Refused as error:
            ours = error.kind, str(error), error.hint
        except BrokenPipeError:
            ours = tree.GONE, "", ""
        finally:
            helper.wait()
        words.seek(0)
        theirs = _said(words.read()) if helper.returncode else None
    if theirs and (ours is None or theirs[0] != tree.GONE):
        kind, message, hint = theirs
        raise _ERRORS.get(kind, CommandError)(f"{spec.name}:{message}", hint or None)
    if ours:
        raise _ERRORS.get(ours[0], CommandError)(ours[1], ours[2] or None)


def _plan(process: int, spec: ContainerSpec, path: str, source: str) -> transfer.Plan:
    machine = Machine.here()
    who = identity(spec, machine.become, machine.ids)
    host = who.host or (None, None)
    return {
        "process": process,
        "become": host[0],
        "group": host[1],
        "several": who.maps is not None,
        "path": path,
        "source": source,
    }


def _spawn(plan: transfer.Plan, words: IO[bytes], *, inward: bool) -> subprocess.Popen[bytes]:
    paper = os.memfd_create("tiffin")
    try:
        os.write(paper, json.dumps(plan).encode())
        os.lseek(paper, 0, os.SEEK_SET)
        return subprocess.Popen(
            [*python("transfer"), str(paper)],
            stdin=subprocess.PIPE if inward else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if inward else subprocess.PIPE,
            stderr=words,
            cwd="/",
            env={},
            pass_fds=(plan["process"], paper),
        )
    finally:
        os.close(paper)


def _said(words: bytes) -> tuple[str, str, str]:
    """Why the other process gave up."""
    try:
        kind, message, hint = json.loads(words)
    except ValueError:
        return "command", " " + (words.decode(errors="replace").strip().splitlines() or ["killed"])[-1], ""
    return kind, message, hint
