"""Run a further program in a pod, with this process's standard streams: `v5.channel.k8s.io`, or its older `v4`.

The channels are 0 for what the program reads, 1 and 2 for what it writes, 3 for how it ended (`metav1.Status`), and 4
for the size of its terminal (k8s.io/apimachinery, `remotecommand`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tiffin.deploy.kubernetes.client.channels import ENOUGH, V4, V5, Channels
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.refusals import Details
from tiffin.engine.clients.execute import refused
from tiffin.engine.relay import write_all
from tiffin.engine.screen import handling, raw, size
from tiffin.engine.spec import Streams
from tiffin.errors import CommandError, UnavailableError
from tiffin.progress import note

STDIN, STDOUT, STDERR, ENDED, RESIZED = range(5)
_PIECE = 1 << 15
_PING_SECONDS = 20.0
_LONGEST_VERDICT = 1 << 20


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a pod."""

    namespace: str
    name: str
    container: str


class _Verdict(msgspec.Struct, frozen=True, kw_only=True):
    status: str = ""
    reason: str = ""
    message: str = ""
    details: Details | None = None


def run(api: Api, pod: Pod, argv: Sequence[str], streams: Streams, *, tty: bool = False) -> int:
    """Run a program there, and return its exit code; 127 where it is not there, 126 where it cannot be run.

    Raises CommandError for what the cluster says against it otherwise, and UnavailableError where the connection breaks
    before the program has ended.
    """
    query: Mapping[str, str | Sequence[str]] = {
        "container": pod.container,
        "command": tuple(argv),
        "stdout": "true",
        **({"stdin": "true"} if streams.stdin is not None else {}),
        **({"tty": "true"} if tty else {"stderr": "true"}),  # a terminal has one output
    }
    with api.channels(pod.namespace, pod.name, "exec", query, (V5, V4)) as channels:
        return _Session(channels, streams, tty=tty).run()


class _Session:
    """A program that runs, and the streams that are its own meanwhile."""

    def __init__(self, channels: Channels, streams: Streams, *, tty: bool) -> None:
        self._channels, self._streams, self._tty = channels, streams, tty
        self._stdin = streams.stdin
        self._verdict = bytearray()
        self._heard = time.monotonic()

    def run(self) -> int:
        """Pass on what comes, in both directions, until the program has ended."""
        with self._terminal() as resized:
            while not self._channels.ended:
                for descriptor, ready in self._wait(resized):
                    self._serve(descriptor, ready, resized)
        return _code(bytes(self._verdict), self._streams.stderr)

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[int]:
        """Let the caller's terminal be the program's, and give what tells of its changes of size."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        try:
            if not self._tty:
                yield reading
                return
            self._resize()
            with (
                raw(self._stdin, other=self._streams.stdout),
                handling(signal.SIGWINCH, lambda *_: _poke(writing)),
            ):
                yield reading
        finally:
            os.close(reading)
            os.close(writing)

    def _wait(self, resized: int) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._channels.fileno(), self._channels.interest)
        poll.register(resized, select.POLLIN)
        if self._stdin is not None and self._channels.waiting < ENOUGH:
            poll.register(self._stdin, select.POLLIN)
        found = poll.poll(0 if self._channels.has_more else _PING_SECONDS * 1000)
        if not found and time.monotonic() - self._heard > _PING_SECONDS:
            self._channels.ping()
        if self._channels.fileno() not in dict(found):
            found.append((self._channels.fileno(), 0))
        return found

    def _serve(self, descriptor: int, ready: int, resized: int) -> None:
        if descriptor == resized:
            os.read(resized, _PIECE)
            self._resize()
        elif descriptor == self._stdin:
            self._take(descriptor)
        elif not self._channels.ended:
            for channel, data in self._channels.turn(ready):
                self._heard = time.monotonic()
                self._give(channel, data)

    def _take(self, stdin: int) -> None:
        """Pass on what is typed, and its end."""
        try:
            data = os.read(stdin, _PIECE)
        except OSError:  # a terminal that hung up
            data = b""
        if data:
            self._channels.send(STDIN, data)
            return
        self._stdin = None
        if not self._channels.can_end:
            note("this cluster cannot say to the program that its input has ended: it may wait for more")
        self._channels.end(STDIN)

    def _give(self, channel: int, data: bytes) -> None:
        if channel == ENDED and len(self._verdict) < _LONGEST_VERDICT:
            self._verdict += data
        elif channel in {STDOUT, STDERR}:
            write_all(self._streams.stdout if channel == STDOUT else self._streams.stderr, data)

    def _resize(self) -> None:
        lines, columns = size(self._streams.stdout, self._streams.stdin)
        self._channels.send(RESIZED, json.dumps({"Width": columns, "Height": lines}).encode())


def _poke(writing: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(writing, b".")


def _code(said: bytes, stderr: int) -> int:
    """How the program ended."""
    try:
        verdict = msgspec.json.decode(said, type=_Verdict)
    except msgspec.DecodeError as error:
        hint = "see with `tiffin status` whether its replica is still there; do it again"
        raise UnavailableError("the connection broke before the program had ended", hint) from error
    if verdict.status == "Success":
        return 0
    for cause in verdict.details.causes if verdict.details else ():
        if cause.reason == "ExitCode" and cause.message.isdecimal():
            return int(cause.message)
    if found := refused(verdict.message):
        write_all(stderr, found[1].encode())
        return found[0]
    raise CommandError(f"the cluster does not run it: {verdict.message or verdict.reason}", "`tiffin status` says more")
