"""A blob as a stream that goes on where it was cut off (distribution-spec, "Pulling blobs"; RFC 9110, 14: ranges)."""

from __future__ import annotations

import io
from collections.abc import Callable

import msgspec
import urllib3

from tiffin.errors import IntegrityError
from tiffin.network import BusyError, Connections, Patience
from tiffin.oci.digest import CHUNK
from tiffin.oci.documents import Descriptor

PARTIAL = 206
UNSATISFIABLE = 416


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the content of a descriptor comes from, and with how much patience."""

    descriptor: Descriptor
    name: str
    """What people are told that it is."""
    begin: Callable[[int, int | None], urllib3.BaseHTTPResponse]
    """Asks once for the content from one byte up to another, the second left out, or to its end."""
    connections: Connections
    patience: Patience


class Download(io.RawIOBase):
    """Reads content as one stream from wherever its origin finds it; its digest is checked where it lands.

    No more than one byte beyond the descriptor's size is ever read, whatever is sent.
    """

    def __init__(self, origin: Origin, offset: int = 0, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """Begin at a byte; or with an answer that has all of it, and has not been read."""
        super().__init__()
        self._origin = origin
        self._descriptor, self._where = origin.descriptor, origin.name
        self._connections, self._patience = origin.connections, origin.patience
        self._offset = offset
        self._over = False
        """It was taken to its end, where there is nothing to ask for."""
        self._failed = 0
        self._response = self._checked(response) if response else self._patience.tried(lambda: self._answer(offset))

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the stub's Buffer has no length
        """Read what comes next, and ask for the rest where it is cut off; raises BusyError when patience ends."""
        while True:
            try:
                return self._next(buffer)
            except BusyError as error:
                self._response.close()
                self._failed += 1
                self._patience.wait(error, self._failed)
                self._resume()

    def seekable(self) -> bool:
        """Say that it can be read from elsewhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from another byte."""
        wanted = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._descriptor.size}[whence]
        if wanted != self._offset:
            self._response.close()
            self._offset = wanted
            self._over = wanted >= self._descriptor.size
            if not self._over:
                self._resume()
        return self._offset

    def tell(self) -> int:
        """Return how many bytes are behind."""
        return self._offset

    def close(self) -> None:
        """Hang up."""
        self._response.close()
        super().close()

    def _next(self, buffer: bytearray | memoryview) -> int:
        most = min(len(buffer), self._descriptor.size + 1 - self._offset)
        if most <= 0 or self._over:
            return 0
        with self._connections.translated(self._where):
            data = self._response.read(most)
        if not data and self._offset < self._descriptor.size:
            hint = self._connections.hints.busy
            raise BusyError(f"{self._where} ended after {self._offset} of {self._descriptor.size} bytes", hint)
        buffer[: len(data)] = data
        self._offset += len(data)
        self._failed = 0 if len(data) >= min(CHUNK, len(buffer)) else self._failed
        return len(data)

    def _resume(self) -> None:
        """Ask for the rest; one more failure to get an answer counts like one to read it."""
        while True:
            try:
                self._response = self._answer(self._offset)
            except BusyError as error:
                self._failed += 1
                self._patience.wait(error, self._failed)
            else:
                return

    def _answer(self, offset: int) -> urllib3.BaseHTTPResponse:
        """Ask for the content from an offset; where all of it comes instead, what is known is read over."""
        response = self._checked(self._origin.begin(offset, None), offset)
        try:
            with self._connections.translated(self._where):
                left = offset if response.status != PARTIAL else 0
                while left:
                    left -= len(response.read(min(CHUNK, left)) or self._fail(offset))
        except BaseException:
            response.close()
            raise
        return response

    def _checked(self, response: urllib3.BaseHTTPResponse, offset: int = 0) -> urllib3.BaseHTTPResponse:
        try:
            self._check(response, offset)
        except BaseException:
            response.close()
            raise
        return response

    def _check(self, response: urllib3.BaseHTTPResponse, offset: int) -> None:
        """Refuse an answer that says itself that it is not what was asked for."""
        size, hint = self._descriptor.size, self._connections.hints.changed
        if response.status == UNSATISFIABLE:
            raise IntegrityError(f"{self._where} has no more than {offset} bytes, and should have {size}", hint)
        if response.status == PARTIAL:
            begins = response.headers.get("Content-Range", "")
            if not begins.startswith(f"bytes {offset}-"):
                raise IntegrityError(f"{self._where} was asked for byte {offset} on and gave {begins[:100]!r}", hint)
            return
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) != size:
            raise IntegrityError(f"{self._where} has {announced} bytes, and should have {size}", hint)

    def _fail(self, offset: int) -> bytes:
        raise BusyError(f"{self._where} ended before byte {offset}, where it broke off", self._connections.hints.busy)
