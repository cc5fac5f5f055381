"""Frames between front and worker, as the worker sees them; `spec/frames.md` is the promise."""

from __future__ import annotations

import json
import select
import socket
import struct
from typing import Any, Optional, Sequence, Tuple

MAGIC = b"TFN1"
VERSION = 1
ALIGNMENT = 8
_PREFIX = struct.Struct("<4sIQ")
_PIECE = 262144
_write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode  # one for all frames
_read = json.JSONDecoder().raw_decode  # which looks for nothing behind the head but its padding


class FrameError(Exception):
    """The other side does not speak this protocol."""


def encode(head: "dict[str, Any]", tensors: Sequence[bytes] = ()) -> bytes:
    """Write one frame: prefix, head padded with spaces, tensors padded with zeros."""
    text = _write(head).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    body = [part for tensor in tensors for part in (tensor, bytes(-len(tensor) % ALIGNMENT))]
    return b"".join([_PREFIX.pack(MAGIC, len(text), sum(map(len, body))), text, *body])


class FrameReader:
    """Reads frames from a blocking socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def read(self) -> "Optional[Tuple[dict[str, Any], memoryview]]":
        """Wait for a frame and return its head and body, or None at the end; the body is aligned and writable."""
        if not self._fill(_PREFIX.size):
            return None
        magic, head_size, body_size = _PREFIX.unpack_from(self._rest)
        start = _PREFIX.size + head_size
        if magic != MAGIC:
            raise FrameError("what arrived is not a frame")
        if not self._fill(start):
            return None
        head, rest = self._rest[_PREFIX.size : start], self._rest[start:]
        self._rest = rest[body_size:]
        body = memoryview(bytearray(body_size))
        have = min(len(rest), body_size)
        body[:have] = rest[:have]
        while have < body_size:
            got = self._connection.recv_into(body[have:])
            if not got:
                return None
            have += got
        return _read(head.decode())[0], body

    def is_idle(self, seconds: float) -> bool:
        """Wait so long for something to read, and say whether nothing came."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        return not self._rest and not waiting.poll(1000 * seconds)

    def _fill(self, size: int) -> bool:
        while len(self._rest) < size:
            piece = self._connection.recv(_PIECE)
            if not piece:
                return False
            self._rest = self._rest + piece if self._rest else piece
        return True
