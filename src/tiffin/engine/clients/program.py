"""Running docker or podman for an answer, for what it writes, or with a stream to read."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, cast

import msgspec

from tiffin.engine.clients.dialect import Dialect, refusal
from tiffin.engine.spec import Streams
from tiffin.errors import NotFoundError, TiffinError


class Done(msgspec.Struct, frozen=True):
    """How a command ended and what it printed."""

    status: int
    out: bytes
    said: str


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """What a command has besides: variables of its environment, and descriptors."""

    environment: dict[str, str] = {}
    descriptors: tuple[int, ...] = ()


NOTHING = Extra()


class Program:
    """One of these programs; `command` may have options, or another program, in front."""

    def __init__(
        self, dialect: Dialect, command: Sequence[str] = (), environment: Mapping[str, str] = os.environ
    ) -> None:
        self.dialect = dialect
        self._command = tuple(command) or (dialect.name,)
        # Its words are read here, so they must be English.
        self._environment: dict[str, str] = dict(environment) | {"LC_ALL": "C.UTF-8"}

    @property
    def environment(self) -> Mapping[str, str]:
        """What it is run with."""
        return self._environment

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """The whole command."""
        return [*self._command, *arguments]

    def attempt(self, arguments: Sequence[str], extra: Extra = NOTHING) -> Done:
        """Run a command to whatever end; the keys of a terminal are ours to hear, and end it if they end us."""
        with self._found():
            done = subprocess.run(
                self.argv(arguments),
                env=self._environment | extra.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=extra.descriptors,
                start_new_session=True,
                check=False,
            )
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def ask(self, arguments: Sequence[str]) -> bytes:
        """Run a command to its good end and return what it printed."""
        done = self.attempt(arguments)
        if done.status:
            raise self.refusal(arguments, done.status, done.said)
        return done.out

    def feed(self, arguments: Sequence[str], write: Callable[[BinaryIO], None]) -> None:
        """Run a command that reads what `write` writes."""
        # Its words say why it read no more.
        with self._run(arguments, stdin=subprocess.PIPE) as process, contextlib.suppress(BrokenPipeError):
            _feed(process, cast("BinaryIO", process.stdin), write)

    def drain(self, arguments: Sequence[str], read: Callable[[BinaryIO], None]) -> None:
        """Run a command whose output `read` reads."""
        with self._run(arguments, stdout=subprocess.PIPE) as process:
            read(cast("BinaryIO", process.stdout))

    @contextlib.contextmanager
    def _run(
        self, arguments: Sequence[str], *, stdin: int = subprocess.DEVNULL, stdout: int | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command to its good end, with a pipe to it or from it; all else that it says is its words."""
        with tempfile.TemporaryFile() as words:
            with self._found():
                process = subprocess.Popen(
                    self.argv(arguments),
                    env=self._environment,
                    stdin=stdin,
                    stdout=words if stdout is None else stdout,
                    stderr=words,
                )
            with process:
                yield process
            words.seek(0)
            if process.returncode:
                raise self.refusal(arguments, process.returncode, words.read().decode(errors="replace"))

    @contextlib.contextmanager
    def reading(self, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command whose output is read while it runs; it ends with the block."""
        with self._found():
            process = subprocess.Popen(
                self.argv(arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        with process:
            try:
                yield process
            finally:
                process.terminate()

    @contextlib.contextmanager
    def speaking(
        self, arguments: Sequence[str], streams: Streams, *, alone: bool = False, extra: Extra = NOTHING
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command that has these streams; `alone` keeps the keys of a terminal from sending it signals."""
        with self._found():
            process = subprocess.Popen(
                self.argv(arguments),
                env=self._environment | extra.environment,
                stdin=subprocess.DEVNULL if streams.stdin is None else streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                pass_fds=extra.descriptors,
                start_new_session=alone,
            )
        with process:
            try:
                yield process
            finally:
                process.terminate()

    def leave(self, argv: Sequence[str], stdin: int) -> None:
        """Run a command that leaves a process of its own behind, with this descriptor as its standard input."""
        subprocess.run(
            argv,
            env=self._environment,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )

    def refusal(self, arguments: Sequence[str], status: int, said: str) -> TiffinError:
        """What a failed command means."""
        return refusal(self.dialect, arguments[0], status, said)

    def absent(self, name: str) -> NotFoundError:
        """No container has this name here."""
        shown = f"`tiffin ps -a --engine {self.dialect.name}` lists them"
        return NotFoundError(f"{self.dialect.name} has no container of tiffin's called {name!r}", shown)

    @contextlib.contextmanager
    def _found(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFoundError(
                f"{self._command[0]} is not installed, or not in PATH",
                "install it, or leave `--engine` out: tiffin runs containers by itself",
            ) from None


def _feed(process: subprocess.Popen[bytes], stdin: BinaryIO, write: Callable[[BinaryIO], None]) -> None:
    """Write it all; what goes wrong on this side ends the program, which must not take the beginning for the whole."""
    try:
        write(stdin)
        stdin.close()
    except BrokenPipeError:
        raise
    except BaseException:
        process.kill()
        raise
