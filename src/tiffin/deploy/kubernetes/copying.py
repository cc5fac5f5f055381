"""The two ends of a copy: ours in a thread, and a program in a pod, with a stream of tar between them."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from tiffin.engine.embedded import tree
from tiffin.engine.embedded.stage import Refused
from tiffin.engine.spec import Streams
from tiffin.errors import CommandError, TiffinError

Plan = dict[str, Any]
"""What the container is to do: `act` is `send`, `receive` or `unpack`."""
Work = Callable[[BinaryIO], None]
"""Our end, given the stream."""
Words = tuple[str, str, str]
"""The kind of a refusal, its message, its hint."""
_EMPTY = ("exiting now", "previous errors")
"""How lines of tar end that say only that there were others."""
_ERRORS: dict[str, type[TiffinError]] = {kind.code: kind for kind in TiffinError.__subclasses__()}


def transfer(other: Callable[[Streams], int], work: Work, preamble: bytes, name: str, *, inward: bool) -> None:
    """Have both ends work; `preamble` is what the other one reads first. Raises what the end that knows better says."""
    both = _Inward(preamble, work) if inward else _Outward(preamble, work)
    with tempfile.TemporaryFile() as words:
        code = both.run(other, words)
        words.seek(0)
        theirs = _said(words.read()) if code else None
    cause = inward and both.ours is not None and both.ours[0] != tree.GONE  # what we never sent is missed there
    if theirs and not cause and (both.ours is None or theirs[0] != tree.GONE):
        raise _ERRORS.get(theirs[0], CommandError)(f"{name}:{theirs[1]}", theirs[2] or None)
    if both.ours and not (both.ours[0] == tree.GONE and inward and not code):
        raise _ERRORS.get(both.ours[0], CommandError)(both.ours[1], both.ours[2] or None)


class _End:
    """Our end of a copy, in a thread of its own; `ours` is why it gave up, if it did."""

    def __init__(self, preamble: bytes, work: Work) -> None:
        self._preamble, self._work = preamble, work
        self.ours: Words | None = None
        self._failed: BaseException | None = None

    def run(self, other: Callable[[Streams], int], words: IO[bytes]) -> int:
        """Have both ends work, and return how the other one ended."""
        raise NotImplementedError

    def _guarded(self, stream: BinaryIO) -> None:
        try:
            with stream:
                self._begin(stream)
                self._work(stream)
        except Refused as error:
            self.ours = error.kind, str(error), error.hint
        except BrokenPipeError:
            self.ours = tree.GONE, "the other end gave up", ""
        except Exception as error:  # noqa: BLE001 - raised where the copy was asked for
            self._failed = error

    def _begin(self, stream: BinaryIO) -> None:
        """Do what comes first."""

    def _joined(self, thread: threading.Thread) -> None:
        thread.join()
        if self._failed:
            raise self._failed


class _Inward(_End):
    """What we send."""

    def _begin(self, stream: BinaryIO) -> None:
        stream.write(self._preamble)

    def run(self, other: Callable[[Streams], int], words: IO[bytes]) -> int:
        reading, writing = os.pipe()
        thread = threading.Thread(target=self._guarded, args=(os.fdopen(writing, "wb"),))
        thread.start()
        try:
            return other(Streams(stdin=reading, stdout=words.fileno(), stderr=words.fileno()))
        finally:
            os.close(reading)
            self._joined(thread)


class _Outward(_End):
    """What we are sent."""

    def run(self, other: Callable[[Streams], int], words: IO[bytes]) -> int:
        reading, writing = os.pipe()
        thread = threading.Thread(target=self._guarded, args=(os.fdopen(reading, "rb"),))
        thread.start()
        try:
            with tempfile.TemporaryFile() as program:
                program.write(self._preamble)
                program.seek(0)
                return other(Streams(stdin=program.fileno(), stdout=writing, stderr=words.fileno()))
        except BrokenPipeError:  # ours gave up, and says why
            return 0
        finally:
            os.close(writing)
            self._joined(thread)


def _said(words: bytes) -> Words:
    """Why the other end gave up: in our words, or in the last of what it said that says anything."""
    lines = words.decode(errors="replace").strip().splitlines()
    try:
        kind, message, hint = json.loads(lines[-1])
    except (ValueError, IndexError, TypeError):
        telling = [line for line in lines if not line.endswith(_EMPTY)]
        return "command", f" {(telling or ['it was killed'])[-1]}", ""
    return kind, message, hint
