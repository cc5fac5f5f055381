"""A large blob that comes in ranges side by side where one connection is slow, read in order (RFC 9110, 14).

It begins as one stream. Once that brings less than a fast connection would, the rest is asked for in ranges. What came
ahead of its turn waits in memory, so ranges are short and few are on their way. Who reads gets every byte in order and
once, and so hashes and writes while the next ones come. Where ranges do not work out (a server that has none, gives
others than were asked for, or gives up on one of them) the rest comes as one stream from the byte that is next, and
that stream says what is wrong, if anything is.
"""

from __future__ import annotations

import contextvars
import io
import re
import threading
import time
from collections import deque
from contextlib import closing

import urllib3

from tiffin.errors import IntegrityError, TiffinError, UnavailableError
from tiffin.network import BusyError
from tiffin.oci.digest import CHUNK
from tiffin.progress import note
from tiffin.store.remote.download import PARTIAL, Download, Origin

_OK = 200
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Lanes:
    """How many ranges are on their way at a time; the blobs that are read at once share the spare ones."""

    def __init__(
        self, *, above: int = 64 << 20, piece: int = 8 << 20, most: int = 4, spare: int = 4, fast: float = 100e6
    ) -> None:
        """Fetch blobs of more than `above` bytes in ranges of `piece` bytes, `most` of one blob at a time.

        Each blob has one range always, and more while of all blobs no more than `spare` have. A connection that brings
        `fast` bytes a second is left alone: more of them would only cost requests.
        """
        self.above, self.piece, self.most, self.fast = above, piece, most, fast
        self.spare = threading.BoundedSemaphore(spare)


class _Piece:
    """A range on its way: what came and was not read yet."""

    def __init__(self, begin: int, end: int, *, spare: bool) -> None:
        self.begin, self.end, self.spare = begin, end, spare
        self.came: deque[memoryview] = deque()
        self.next = begin
        """The byte that comes next."""
        self.read = begin
        """The byte that is read next."""
        self.error: Exception | None = None
        self.unwanted = False


class Ranged(io.RawIOBase):
    """Reads content by one connection or in ranges ahead of whoever reads it; its digest is checked where it lands."""

    def __init__(self, origin: Origin, lanes: Lanes) -> None:
        """Begin, and learn whether there are ranges; raises NotFoundError."""
        super().__init__()
        self._origin, self._lanes = origin, lanes
        self._size = origin.descriptor.size
        self._offset = 0
        self._asked = 0
        """The byte that the next range begins with."""
        self._pieces: deque[_Piece] = deque()
        self._changed = threading.Condition()
        self._stream: Download | None = None
        """What the rest comes by, unless it comes in ranges."""
        self._splits = False
        """Whether ranges may take the stream's place."""
        self._waited, self._came = 0.0, 0
        self._begin()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the stub's Buffer has no length
        """Read what comes next; raises the errors of one stream, when that does not come by either."""
        if self._stream and self._is_slow():
            self._stream.close()
            self._stream, self._asked = None, self._offset
        if self._stream is None:
            try:
                return self._next(buffer)
            except TiffinError as error:
                note(f"{self._origin.name} comes by one connection from here on: {error.message}")
                self._give_up()
                self._stream, self._splits = Download(self._origin, self._offset), False
        began = time.monotonic()
        count = self._stream.readinto(buffer)
        self._waited += time.monotonic() - began
        self._came += count
        self._offset += count
        return count

    def seekable(self) -> bool:
        """Say that it can be read from elsewhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from another byte."""
        wanted = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        if wanted != self._offset:
            self._give_up()
            self._offset = self._asked = wanted
            if self._stream:
                self._stream.seek(wanted)
        return self._offset

    def tell(self) -> int:
        """Return how many bytes are behind."""
        return self._offset

    def close(self) -> None:
        """Want nothing any more."""
        if not self.closed:
            self._give_up()
            if self._stream:
                self._stream.close()
        super().close()

    def _begin(self) -> None:
        """Ask for all of it as a range, whose answer says whether there are any."""
        origin = self._origin
        try:
            response = origin.patience.tried(lambda: origin.begin(0, self._size))
        except BusyError:
            raise
        except UnavailableError:
            self._stream = Download(origin)  # one that refuses ranges, or says again what is wrong
            return
        comes = self._comes(response, 0, self._size)
        if comes == self._size or response.status == _OK:
            self._splits = bool(comes)
            self._stream = Download(origin, response=response)
            return
        response.close()
        if not comes:
            self._stream = Download(origin)  # else it gives no more than this at a time

    def _is_slow(self) -> bool:
        """Say of every so many bytes whether whoever reads would have them sooner by more connections."""
        if not self._splits or self._came < self._lanes.piece or self._size - self._offset <= self._lanes.piece:
            return False
        slow = self._came < self._lanes.fast * self._waited
        self._waited, self._came = 0.0, 0
        return slow

    def _next(self, buffer: bytearray | memoryview) -> int:
        if self._offset >= self._size:
            return 0
        self._send_out()
        piece = self._pieces[0]
        with self._changed:
            self._changed.wait_for(lambda: piece.came or piece.error)
            if not piece.came:
                raise piece.error or AssertionError("it was waited for one or the other")
            data = piece.came.popleft()
            if len(data) > len(buffer):
                piece.came.appendleft(data[len(buffer) :])
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        self._offset += count
        if self._offset == piece.end:
            self._drop(self._pieces.popleft())
            self._send_out()
        return count

    def _send_out(self) -> None:
        """Have as many ranges on their way as there may be."""
        while len(self._pieces) < self._lanes.most and self._asked < self._size:
            spare = bool(self._pieces)
            if spare and not self._lanes.spare.acquire(blocking=False):
                return
            piece = _Piece(self._asked, min(self._asked + self._lanes.piece, self._size), spare=spare)
            self._pieces.append(piece)
            self._asked = piece.end
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._fetch, piece), daemon=True).start()

    def _give_up(self) -> None:
        """Want none of the ranges that are on their way; each ends at the next bytes that come."""
        while self._pieces:
            self._drop(self._pieces.pop())

    def _drop(self, piece: _Piece) -> None:
        piece.unwanted = True
        if piece.spare:
            self._lanes.spare.release()

    def _fetch(self, piece: _Piece) -> None:
        """Bring a range, in as many attempts as patience allows, each from the byte that is next."""
        origin, failed = self._origin, 0
        try:
            while piece.next < piece.end and not piece.unwanted:
                before = piece.next
                try:
                    self._receive(piece, origin.begin(piece.next, piece.end))
                except BusyError as error:
                    failed = 1 if piece.next - before >= CHUNK else failed + 1
                    origin.patience.wait(error, failed)
        except Exception as error:  # noqa: BLE001 - whoever reads raises it
            with self._changed:
                piece.error = error
                self._changed.notify_all()

    def _receive(self, piece: _Piece, response: urllib3.BaseHTTPResponse) -> None:
        """Take what an answer has of a range."""
        with closing(response):
            end = self._comes(response, piece.next, piece.end)
            if not end:
                said = response.headers.get("Content-Range", "")[:100] or str(response.status)
                message = f"{self._origin.name} was asked for bytes {piece.next} to {piece.end - 1} and gave {said!r}"
                raise IntegrityError(message, self._origin.connections.hints.changed)
            while piece.next < end and not piece.unwanted:
                with self._origin.connections.translated(self._origin.name):
                    data = response.read(min(CHUNK, end - piece.next))
                if not data:
                    hint = self._origin.connections.hints.busy
                    raise BusyError(f"{self._origin.name} ended after {piece.next} of {self._size} bytes", hint)
                with self._changed:
                    piece.came.append(memoryview(data))
                    piece.next += len(data)
                    self._changed.notify_all()

    def _comes(self, response: urllib3.BaseHTTPResponse, begin: int, end: int) -> int:
        """Return the byte that an answer ends before; 0 for one that is not a range asked for, or part of it.

        A server may give less than was asked for; the rest is asked for again.
        """
        said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != PARTIAL or not said or said[3] not in {"*", str(self._size)}:
            return 0
        last = int(said[2]) + 1
        return last if int(said[1]) == begin < last <= end else 0
