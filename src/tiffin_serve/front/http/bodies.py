"""Bodies that come compressed: inflated piece by piece, and never to more than the limit (RFC 9110, section 8.4)."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Protocol

WINDOW_LOG = 23  # 8 MiB: what every decoder must take (RFC 8878, section 3.1.1.1.2), and all that ours does
GZIP, ZLIB = 31, 15


class BodyError(Exception):
    """The body is not what its `Content-Encoding` says."""


class TooLargeError(BodyError):
    """The body inflates to more than the limit."""


class Inflater(Protocol):
    """What `zlib`, `compression.zstd` and its backport have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was read."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came after the end of the stream."""
        ...


Step = Callable[[Any, bytes, int], tuple[bytes, bytes]]


class Inflated:
    """A body that is being inflated; streams may follow each other, as gzip and zstd allow."""

    def __init__(
        self, make: Callable[[], Inflater], step: Step, limit: int, errors: tuple[type[Exception], ...]
    ) -> None:
        self._make = make
        self._step = step
        self._errors = errors
        self._left = limit
        self._stream = make()
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """Inflate a piece; raises BodyError, TooLargeError."""
        pieces = []
        while data:
            self._begun = True
            try:
                piece, data = self._step(self._stream, data, self._left + 1)
            except self._errors as error:
                raise BodyError(str(error)) from error
            self._left -= len(piece)
            if self._left < 0:
                raise TooLargeError
            pieces.append(piece)
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream, self._begun = self._make(), False
        return b"".join(pieces)

    def end(self) -> None:
        """Hear that the body has ended; raises BodyError where its stream has not."""
        if self._begun:
            raise BodyError("it ends too early")


def _zlib_step(stream: Any, data: bytes, most: int) -> tuple[bytes, bytes]:
    return stream.decompress(data, most), stream.unconsumed_tail


def _zstd_step(stream: Any, data: bytes, most: int) -> tuple[bytes, bytes]:
    piece = stream.decompress(data, most)
    while not stream.eof and not stream.needs_input and len(piece) < most:
        more = stream.decompress(b"", most - len(piece))
        if not more:
            break
        piece += more
    return piece, b""


@cache
def zstd() -> Any:
    """Import zstd, which only such a body needs; None where there is none."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd as found  # noqa: PLC0415 - imported when the first such body comes
        else:
            found = import_module("backports.zstd")  # the same module, for those before
    except ImportError:
        return None
    return found


def encodings() -> bytes:
    """List what is taken, as the header `Accept-Encoding` of a refusal (RFC 7694) does."""
    return b"gzip, deflate, zstd" if zstd() else b"gzip, deflate"


def inflated(encoding: bytes, limit: int) -> Inflated | None:
    """Begin to inflate a body of an encoding to so many bytes at most; None where it is not known."""
    if encoding in {b"gzip", b"x-gzip"}:
        return Inflated(lambda: zlib.decompressobj(GZIP), _zlib_step, limit, (zlib.error,))
    if encoding == b"deflate":
        return Inflated(lambda: zlib.decompressobj(ZLIB), _zlib_step, limit, (zlib.error,))
    if encoding == b"zstd" and (found := zstd()):
        options = {found.DecompressionParameter.window_log_max: WINDOW_LOG}
        return Inflated(lambda: found.ZstdDecompressor(options=options), _zstd_step, limit, (found.ZstdError, EOFError))
    return None
