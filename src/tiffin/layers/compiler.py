"""Python sources to bytecode, in processes of the interpreter that will run it.

The interpreter is somebody else's choice: `ProcessCompiler` takes the argv that starts it, such as bubblewrap with an
image's own Python.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO, Protocol, Self, cast

import msgspec

from tiffin.errors import CommandError

_TEXT = Path(__file__).with_name("bytecode_worker.py")
_OPTIONS = ("-s", "-S", "-W", "ignore", "-c")
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
"""Sets are written in the order of their hashes until CPython 3.10. That is why it is not `-I`, which would ignore
the seed; there is no other variable that could matter, and only built-in modules are imported."""
_MOST_SAID = 4000
"""Bytes of what a failed interpreter said that are shown."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A Python source: its path in the layer, and the file name that tracebacks will show."""

    path: str
    name: str
    data: bytes


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a source; `data` is a whole .pyc file, or nothing where the source does not compile."""

    path: str
    data: bytes | None


class Compiler(Protocol):
    """Turns sources into bytecode that depends on nothing but each batch."""

    def compile(self, batches: Iterable[Sequence[Source]]) -> Iterator[list[Compiled]]:
        """Compile batches and yield what came of each, in order; raises CommandError where the interpreter fails."""
        ...


class ProcessCompiler:
    """Compiles in processes of the interpreter `argv`, as many at a time as there are `workers`.

    `sandbox` turns the whole command into one that runs it elsewhere, such as in an image.
    """

    def __init__(
        self, argv: Sequence[str], workers: int | None = None, sandbox: Callable[[list[str]], list[str]] = list
    ) -> None:
        self._argv = sandbox([*argv, *_OPTIONS, _TEXT.read_text()])
        self._shown = " ".join(argv)
        self._workers = workers or os.cpu_count() or 2

    def compile(self, batches: Iterable[Sequence[Source]]) -> Iterator[list[Compiled]]:
        """Compile batches and yield what came of each, in order; a few of them are in memory at a time."""
        pending: deque[Future[list[Compiled]]] = deque()
        with ExitStack() as stack:
            idle: SimpleQueue[_Process] = SimpleQueue()
            pool = stack.enter_context(ThreadPoolExecutor(self._workers, "tiffin-compile"))
            stack.callback(pool.shutdown, cancel_futures=True)
            for batch in batches:
                pending.append(pool.submit(self._compile, batch, idle, stack))
                if len(pending) > 2 * self._workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _compile(self, batch: Sequence[Source], idle: SimpleQueue[_Process], stack: ExitStack) -> list[Compiled]:
        try:
            process = idle.get_nowait()
        except Empty:
            process = stack.enter_context(_Process(self._argv, self._shown))
        found = process.compile(batch)
        idle.put(process)
        return [Compiled(path=source.path, data=data or None) for source, data in zip(batch, found, strict=True)]


class _Process:
    """One interpreter that compiles batch after batch."""

    def __init__(self, argv: Sequence[str], shown: str) -> None:
        self._shown = shown
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        environment = {**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment
            )
        except OSError as error:
            self._errors.close()
            raise CommandError(f"cannot start `{shown}` to compile Python: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._process.wait()
        self._output.close()
        self._errors.close()

    @property
    def _input(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdin)

    @property
    def _output(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    def compile(self, batch: Sequence[Source]) -> list[bytes]:
        """Send a batch and read what comes of it; raises CommandError where the process ends instead."""
        names = [source.name.encode() for source in batch]
        sizes = [struct.pack("<2L", len(name), len(source.data)) for name, source in zip(names, batch, strict=True)]
        parts = [part for name, source in zip(names, batch, strict=True) for part in (name, source.data)]
        try:
            self._input.write(b"".join([struct.pack("<L", len(batch)), *sizes, *parts]))
            self._input.flush()
        except BrokenPipeError as error:
            raise self._failed() from error
        return [self._read(int.from_bytes(self._read(4), "little")) for _ in batch]

    def _read(self, size: int) -> bytes:
        data = self._output.read(size)
        if len(data) != size:
            raise self._failed()
        return data

    def _failed(self) -> CommandError:
        self._process.kill()
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read(_MOST_SAID).decode(errors="replace").strip()
        return CommandError(
            f"`{self._shown}` ended with status {status} while compiling Python: {said or 'it said nothing'}",
            "leave bytecode out with `bytecode = false` under [image], or see `tiffin doctor`",
        )
