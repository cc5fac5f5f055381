"""This process's streams as those of a container of docker or podman, by their own `start --attach` and `attach`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

from tiffin.engine.clients import argv, refusals
from tiffin.engine.clients.program import Program
from tiffin.engine.relay import copy, unread
from tiffin.engine.screen import restored
from tiffin.engine.spec import ContainerSpec, Streams

_POLL_SECONDS = 0.05


class Speaker:
    """One who is attached to a container by its program's client."""

    def __init__(self, program: Program, identity: str, spec: ContainerSpec, streams: Streams) -> None:
        self._program, self._id, self._spec, self._streams = program, identity, spec, streams

    def attach(self, keys: str) -> None:
        """Attach until it ends or is left; raises BrokenPipeError where nobody reads any more."""
        with self._speaking(argv.attach(self._spec, self._id, keys), self._streams.stderr) as process:
            process.wait()
        self._check()

    def run(self, keys: str, has_begun: Callable[[], bool], started: Callable[[], None]) -> int:
        """Start it and stay until it ends or is left; what the client says of one that cannot be started is raised.

        Returns the client's exit status, which is the container's where that has ended.

        Until it has begun nothing of what the client says is shown.
        """
        arguments = argv.run(self._spec, self._id, keys)
        reading, writing = os.pipe()
        with contextlib.ExitStack() as opened:
            words = opened.enter_context(os.fdopen(reading, "rb", 0))
            said = opened.enter_context(os.fdopen(writing, "wb", 0))
            process = opened.enter_context(self._speaking(arguments, said.fileno()))
            said.close()
            while not has_begun():
                if process.poll() is not None and not has_begun():
                    text = words.readall().decode(errors="replace")
                    raise refusals.started(self._spec, text) or self._program.refusal(
                        arguments, process.returncode, text
                    )
                time.sleep(_POLL_SECONDS)
            opened.enter_context(_copying(words.fileno(), self._streams.stderr, drain=True))
            started()
            status = process.wait()
        self._check()
        return status

    def _check(self) -> None:
        if unread(self._streams.stdout):
            raise BrokenPipeError

    @contextlib.contextmanager
    def _speaking(self, arguments: list[str], stderr: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run the client: with our terminal where the container has one, else out of reach of its keys."""
        stdin = self._streams.stdin if self._spec.stdin else None
        with contextlib.ExitStack() as opened:
            if self._spec.tty:
                opened.enter_context(restored(stdin))
            elif stdin is not None and os.isatty(stdin):
                stdin = opened.enter_context(_relayed(stdin))
            streams = Streams(stdin=stdin, stdout=self._streams.stdout, stderr=stderr)
            yield opened.enter_context(self._program.speaking(arguments, streams, alone=not self._spec.tty))


@contextlib.contextmanager
def _relayed(source: int) -> Iterator[int]:
    """A pipe with what is read from a terminal, which only this process's group may read."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0) as sink, _copying(source, writing, then=sink.close):
        yield reading


@contextlib.contextmanager
def _copying(source: int, sink: int, *, drain: bool = False, then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Copy until the source ends, or the block does."""
    done, over = os.pipe()

    def work() -> None:
        copy(source, sink, done, keep=True, drain=drain)
        then()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        os.close(over)
        thread.join()
        os.close(done)
