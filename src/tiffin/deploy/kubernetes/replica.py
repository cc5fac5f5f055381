"""A replica in a cluster as `exec` and `cp` see it: like a container of this machine.

Files are copied by the Python that the container has, as every image of tiffin's does, or by its `tar`; nothing is left
there.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
from typing import BinaryIO

from tiffin.deploy.kubernetes import inside
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.copying import Plan, Work, transfer
from tiffin.deploy.kubernetes.execute import Pod, run
from tiffin.deploy.kubernetes.tarred import by_tar
from tiffin.engine.embedded import tree
from tiffin.engine.spec import NOT_FOUND, NOT_RUNNABLE, Command, Streams
from tiffin.errors import UnsupportedError

_PYTHONS = ("python3", "python", "/opt/venv/bin/python")
_START = "import sys; exec(sys.stdin.buffer.read({size}).decode())"
_PREPARED = (
    "import json, os, sys; plan = json.loads(sys.argv[1]); os.environ.update(plan['env']); "
    "plan['cwd'] and os.chdir(plan['cwd']); os.execvp(sys.argv[2], sys.argv[2:])"
)
_ABSENT = {NOT_FOUND, NOT_RUNNABLE}


class Replica:
    """One container of a pod."""

    def __init__(self, api: Api, pod: Pod) -> None:
        """Nothing is asked yet."""
        self._api, self._pod = api, pod
        self._python: str | None = None

    @property
    def name(self) -> str:
        """What it is called, in status and logs too."""
        return self._pod.name

    def exec(self, command: Command, streams: Streams | None) -> int:
        """Run a further program there (see `CanExec`); with variables or a folder of its own by the image's Python."""
        if streams is None:
            hint = "leave `-d` out; what is to go on for long belongs into a service of its own"
            raise UnsupportedError("a cluster lets no program of a replica go on unheard", hint)
        if command.user:
            hint = "leave `-u` out: it is the container's user"
            raise UnsupportedError("a cluster runs programs as the container's user alone", hint)
        argv = command.argv
        if command.env or command.cwd:
            plan = json.dumps({"env": command.env, "cwd": command.cwd})
            argv = (self._interpreter(), "-c", _PREPARED, plan, *argv)
        return run(self._api, self._pod, argv, streams, tty=command.tty)

    def copy_out(self, path: str, target: str) -> None:
        """Copy from there to this machine (see `CanCopy`)."""
        self._transfer(
            {"act": "send", "path": path, "named": False},
            lambda stream: tree.receive(stream, _open_folder, target, path),
        )

    def copy_in(self, source: str, path: str) -> None:
        """Copy from this machine to there (see `CanCopy`)."""
        self._transfer(
            {"act": "receive", "path": path, "source": source},
            lambda stream: tree.send(_open_folder, source, stream),
            inward=True,
        )

    def tar_out(self, path: str, out: BinaryIO) -> None:
        """Write what is there as a tar (see `CanCopy`)."""
        self._transfer({"act": "send", "path": path, "named": True}, lambda stream: shutil.copyfileobj(stream, out))

    def tar_in(self, stream: BinaryIO, path: str) -> None:
        """Take in a tar (see `CanCopy`)."""
        self._transfer({"act": "unpack", "path": path}, lambda there: shutil.copyfileobj(stream, there), inward=True)

    def _interpreter(self) -> str:
        """The container's Python; raises UnsupportedError where it has none."""
        if found := self._found_python():
            return found
        hint = "images of tiffin's have one; of another image, have its own `env` do it: `tiffin exec NAME env A=b …`"
        raise UnsupportedError(f"`-e` and `-w` go by the Python of a container, and {self.name} has none", hint)

    def _found_python(self) -> str:
        """How the container's Python is called, empty where it has none."""
        if self._python is None:
            self._python = next((name for name in _PYTHONS if self._runs((name, "-c", "")) not in _ABSENT), "")
        return self._python

    def _runs(self, argv: tuple[str, ...]) -> int:
        """Run something in silence, and return its exit code."""
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            quiet = Streams(stdout=nowhere.fileno(), stderr=nowhere.fileno())
            return run(self._api, self._pod, argv, quiet)

    def _transfer(self, plan: Plan, work: Work, *, inward: bool = False) -> None:
        """Do our end of a copy while the container does the other; what that refuses is the reason of both."""
        preamble = b""
        if python := self._found_python():
            program = inspect.getsource(inside).encode()
            argv: tuple[str, ...] = (python, "-c", _START.format(size=len(program)))
            preamble = program + json.dumps({"tree": inspect.getsource(tree), **plan}).encode() + b"\n"
        elif self._runs(("tar", "--help")) not in _ABSENT:
            argv, work = by_tar(plan, work, lambda path: not self._runs(("test", "-d", path)))
        else:
            hint = "copy what it needs into its image, or mount it"
            raise UnsupportedError(f"{self.name} has neither a Python nor a tar, by which files are copied", hint)
        transfer(lambda streams: run(self._api, self._pod, argv, streams), work, preamble, self.name, inward=inward)


def _open_folder(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
