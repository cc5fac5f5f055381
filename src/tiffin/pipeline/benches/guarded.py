"""A program that runs beside this process under a guardian: what it says, telling it to end, how it ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from subprocess import Popen
from typing import BinaryIO

import msgspec

from tiffin.engine.embedded.boot import SOURCES, paper
from tiffin.pipeline.benches.confinement import Bounds, Confinement, left

_BOOT = "import sys; sys.path.append({sources!r}); from tiffin.pipeline.benches.guardian import main; main()"
_SIGNALLED = 128
_STOP_SECONDS = 1.0
"""Seconds that a program has to end by itself when it is told to."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run: its words, where it begins, its variables, what it is left, its memory in bytes (0: any)."""

    argv: tuple[str, ...]
    cwd: str
    variables: dict[str, str]
    bounds: Bounds
    memory: int = 0


class Guarded:
    """A program that runs; what can be told to end."""

    def __init__(self, process: Popen[bytes], said: BinaryIO) -> None:
        """Its guardian's process, and the pipe in which that says how it was ended."""
        self._process, self._said = process, said

    def lines(self) -> Iterator[str]:
        """Each line that it writes, until nothing of it is left."""
        assert self._process.stdout  # noqa: S101 - `guarded` has asked for it
        for line in self._process.stdout:
            yield line.decode(errors="replace").rstrip("\n")

    def answer(self) -> tuple[str, list[str]]:
        """All that it writes to its output, and the lines of what it writes to its errors."""
        text, errors = self._process.communicate()
        return text.decode(errors="replace"), errors.decode(errors="replace").splitlines()

    def stop(self, seconds: float | None = None) -> None:  # noqa: ARG002 - the guardian knows how long
        """Tell it to end; its guardian kills it if it does not."""
        self._process.terminate()

    def wait(self) -> int:
        """Its exit code, as a shell says it."""
        code = self._process.wait()
        return _SIGNALLED - code if code < 0 else code

    def report(self) -> str:
        """What was done to it: `memory`, where it was killed for that."""
        return self._said.read().decode()


@contextlib.contextmanager
def guarded(task: Task, confinement: Confinement, *, answers: bool = False) -> Iterator[Guarded]:
    """Run a program; nothing is left of it afterwards. One that `answers` has its errors told apart."""
    hears, tells = os.pipe()
    with os.fdopen(hears, "rb") as said:
        try:
            process = _begun(_plan(task, confinement, tells), tells, answers=answers)
        finally:
            os.close(tells)
        with process:
            try:
                yield Guarded(process, said)
            finally:
                process.terminate()  # what has ended hears nothing of it


def _begun(plan: Mapping[str, object], tells: int, *, answers: bool) -> Popen[bytes]:
    with paper(plan) as descriptor:
        return Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT.format(sources=SOURCES), str(descriptor)],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if answers else subprocess.STDOUT,
            pass_fds=(descriptor, tells),
            start_new_session=True,
        )


def _plan(task: Task, confinement: Confinement, report: int) -> dict[str, object]:
    return {
        "argv": task.argv,
        "cwd": task.cwd,
        "environment": task.variables,
        "memory": task.memory,
        "stop_seconds": _STOP_SECONDS,
        "report": report,
        **left(confinement, task.bounds),
    }
