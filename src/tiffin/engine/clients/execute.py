"""`exec` of docker and podman, with every engine's exit codes and words for a program that cannot be run.

docker, before 23, says on standard output why a program cannot be run, and exits with 126 whatever it was. So what
begins as such words do waits until the client has exited; everything else goes through as it comes.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading

from tiffin.engine.clients import argv
from tiffin.engine.clients.program import Program
from tiffin.engine.clients.variables import hidden
from tiffin.engine.relay import write_all
from tiffin.engine.screen import restored
from tiffin.engine.spec import NOT_FOUND, NOT_RUNNABLE, Command, Streams

_BEGINNINGS = (b"OCI runtime exec failed: ", b"Error: runc: ", b"Error: crun: ", b"Error: OCI runtime")
_PROGRAM = re.compile(r'exec: "([^"]*)": ([^\n]*)')
_ABSENT = re.compile(r"executable file not found|no such file or directory", re.IGNORECASE)
_CHUNK = 1 << 16


def execute(program: Program, identity: str, command: Command, streams: Streams) -> int:
    """Run a further program with these streams and return its exit code."""
    with hidden(command.env) as (variables, extra):
        arguments = argv.execute(identity, command, variables, stdin=streams.stdin is not None, detach=False)
        if command.tty:
            with restored(streams.stdin), program.speaking(arguments, streams, extra=extra) as process:
                return process.wait()
        with contextlib.ExitStack() as opened:
            out, err = (_Gate(opened, sink) for sink in (streams.stdout, streams.stderr))
            given = Streams(stdin=streams.stdin, stdout=out.writing.fileno(), stderr=err.writing.fileno())
            process = opened.enter_context(program.speaking(arguments, given, extra=extra))
            other = threading.Thread(target=err.pass_on)
            out.writing.close()
            err.writing.close()
            other.start()
            out.pass_on()
            other.join()
            return _verdict(process.wait(), [out, err], streams.stderr)


def leave(program: Program, identity: str, command: Command) -> int:
    """Run a program that is left to itself; return 0 when it has begun, else say why not and return the code."""
    with hidden(command.env) as (variables, extra):
        done = program.attempt(argv.execute(identity, command, variables, stdin=False, detach=True), extra)
    if not done.status:
        return 0
    code, words = refused(done.said) or (done.status, done.said)
    os.write(2, words.encode())
    return code


def refused(said: str) -> tuple[int, str] | None:
    """The exit code and the words for a program that could not be run, where this is what was said."""
    if found := _PROGRAM.search(said):
        if _ABSENT.search(found[2]):
            return NOT_FOUND, f"tiffin: {found[1]}: not found\n"
        return NOT_RUNNABLE, f"tiffin: cannot run {found[1]}: {found[2].partition(':')[0]}\n"
    if "chdir to cwd" in said:
        return NOT_RUNNABLE, "tiffin: cannot run it: its working directory is not there\n"
    return None


class _Gate:
    """A pipe whose words go on to where they belong, unless they begin as the client's own do."""

    def __init__(self, opened: contextlib.ExitStack, sink: int) -> None:
        reading, writing = os.pipe()
        self.sink, self.held = sink, b""
        self._reading = opened.enter_context(os.fdopen(reading, "rb", 0))
        self.writing = opened.enter_context(os.fdopen(writing, "wb", 0))

    def pass_on(self) -> None:
        """Pass on what comes until it ends, or nobody reads it any more."""
        is_open = False
        with contextlib.suppress(OSError):
            while data := os.read(self._reading.fileno(), _CHUNK):
                self.held += data
                is_open = is_open or not any(_begins(self.held, words) for words in _BEGINNINGS)
                if is_open:
                    self.flush()
        self._reading.close()

    def flush(self) -> None:
        """Pass on what was held."""
        held, self.held = self.held, b""
        write_all(self.sink, held)


def _begins(held: bytes, words: bytes) -> bool:
    return held.startswith(words) or words.startswith(held)


def _verdict(status: int, gates: list[_Gate], stderr: int) -> int:
    for gate in gates:
        if status and gate.held and (found := refused(gate.held.decode(errors="replace"))):
            write_all(stderr, found[1].encode())
            return found[0]
    with contextlib.suppress(OSError):
        for gate in gates:
            gate.flush()
    return status
