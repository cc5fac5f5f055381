"""Where foreign code builds a wheel: one question to `hooks.py`, asked in a sandbox that somebody else makes."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

import msgspec

from tiffin.errors import TiffinError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.trees import EPOCH

ENVIRONMENT = {"SOURCE_DATE_EPOCH": str(EPOCH), "PYTHONHASHSEED": "0", "TZ": "UTC"}
"""What a build may read of its surroundings, so that it makes the same wheel again."""
_SCRIPT = Path(__file__).with_name("hooks.py")
_LARGEST = 4 << 30
"""Bytes of the largest answer that is taken, such as a wheel."""
_HEADER = 1 << 20
_LINES, _LINE = 400, 8192
"""Lines of a build's log that are kept, and bytes of one."""


class Workroom(Protocol):
    """Makes sandboxes with the image's own Python: no network, nothing of this machine, nothing that stays."""

    @property
    def identity(self) -> Digest:
        """What the interpreter, and all that lies beside it, is made of."""
        ...

    def command(self, wheels: Sequence[WheelPin], argv: Sequence[str], env: dict[str, str]) -> list[str]:
        """Return the command that runs `python argv…` where these wheels are installed, with its caller's streams."""
        ...

    def refusal(self, log: str) -> TiffinError | None:
        """Return why this machine made no sandbox, where that is what the log says."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """What a build says: the wheel's file name, or what it needs besides what was there."""

    wheel: str = ""
    requires: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True):
    """What `hooks.py` is told."""

    backend: str
    path: tuple[str, ...] = ()
    met: tuple[str, ...] = ()


class Failed(Exception):  # noqa: N818 - the builder, which knows what was built, makes an error of it
    """A build ended badly; `log` is the end of what it said."""

    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


def ask(room: Workroom, wheels: Sequence[WheelPin], question: Question, source: BinaryIO, out: BinaryIO) -> Answer:
    """Ask a build for its wheel, which is written to `out`; raises Failed, or the room's refusal."""
    argv = ["-I", "-c", _SCRIPT.read_text("utf-8"), msgspec.json.encode(question).decode()]
    header, said = talk(room, room.command(wheels, argv, ENVIRONMENT), source, out)
    try:
        return msgspec.json.decode(header, type=Answer)
    except msgspec.MsgspecError as error:
        raise Failed(f"{said}\nit ended without an answer") from error


def talk(room: Workroom, command: Sequence[str], source: BinaryIO, out: BinaryIO) -> tuple[bytes, str]:
    """Run a command of a room on `source`: give the first line of its answer and its log, and write the rest to `out`.

    Raises Failed, or the room's refusal.
    """
    log: deque[bytes] = deque(maxlen=_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        stdin, stdout, stderr = (cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr))
        threads = [
            threading.Thread(target=_feed, args=(source, stdin)),
            threading.Thread(target=_listen, args=(stderr, log)),
        ]
        for thread in threads:
            thread.start()
        try:
            header = stdout.readline(_HEADER)
            _copy(stdout, out)
        except BaseException:
            process.kill()
            raise
        finally:
            for thread in threads:
                thread.join()
    said = b"".join(log).decode(errors="replace").strip()
    if process.returncode:
        raise room.refusal(said) or Failed(said)
    return header, said


def _feed(source: BinaryIO, stdin: IO[bytes]) -> None:
    """Give a build its source; one that ends before has read enough."""
    with contextlib.suppress(BrokenPipeError), stdin:
        shutil.copyfileobj(source, stdin)


def _listen(stderr: IO[bytes], log: deque[bytes]) -> None:
    for line in iter(partial(stderr.readline, _LINE), b""):
        log.append(line)


def _copy(stdout: IO[bytes], out: BinaryIO) -> None:
    written = 0
    while data := stdout.read(CHUNK):
        written += len(data)
        if written > _LARGEST:
            raise Failed(f"its answer has more than {_LARGEST} bytes")
        out.write(data)
