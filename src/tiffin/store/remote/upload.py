"""A blob on its way into a registry, which goes on where it was cut off (distribution-spec 1.1, "Pushing blobs").

What is small goes with the request that ends its upload. What is large goes before it, in one streamed request without
a range, as docker sends it: registries refuse ranges for reasons of their own, and a range is needed only to go on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, BinaryIO, NoReturn
from urllib.parse import urlencode

import msgspec
import urllib3

from tiffin.errors import IntegrityError, NotFoundError, TiffinError, UnavailableError
from tiffin.network import Body, BusyError, shown
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.store.remote.auth import Scopes
from tiffin.store.remote.bookmarks import Bookmark
from tiffin.store.remote.client import Registry, Request

SMALL = 4 << 20
"""Bytes that are sent with the end of their upload, unless the registry says that it takes no less than more."""
PIECE = 1 << 17
"""Bytes read, hashed and given to the connection at a time."""
END_SECONDS = 600.0
"""For how long a registry may say nothing while it stores what it has: some copy it once more, whole."""
SETTLING_SECONDS = 0.2
"""For how long a registry gets no byte more of an upload that has come to rest."""
_OK, _CREATED, _ACCEPTED, _EMPTY = 200, 201, 202, 204
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d+)(?:/.*)?")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that a registry has begun: where it goes on, the bytes it has, and the fewest it takes at once."""

    location: str
    offset: int = 0
    least: int = 0


class Uploads:
    """The uploads of one repository; threads may share it."""

    def __init__(self, registry: Registry, repository: str) -> None:
        """Write into a repository; nothing is asked of its registry yet."""
        self.registry = registry
        self.scopes: Scopes = (f"repository:{repository}:pull,push",)
        self._path = f"/v2/{repository}/blobs/uploads/"

    def begin(self) -> Session:
        """Begin an upload."""
        with closing(self._ask("POST", self._path, _ACCEPTED)) as response:
            return self._session(self._path, response, 0)

    def mount(self, digest: Digest, repository: str) -> Session | None:
        """Ask for a blob that another repository may have; None means that it is here now, else an upload is begun.

        Raises DeniedError where that repository may not be read, UnavailableError where the registry does not mount.
        """
        path = f"{self._path}?{urlencode({'mount': digest, 'from': repository})}"
        scopes = (*self.scopes, f"repository:{repository}:pull")
        with closing(self._ask("POST", path, _CREATED, _ACCEPTED, scopes=scopes)) as response:
            return None if response.status == _CREATED else self._session(path, response, 0)

    def look(self, session: Session) -> Session | None:
        """Ask how far an upload got; None means that this cannot be known and nothing of it used."""
        try:
            with closing(self._ask("GET", session.location, _OK, _ACCEPTED, _EMPTY)) as response:
                offset = _acknowledged(response)
                # "0-0" is what registries say of no byte and of one
                return self._session(session.location, response, offset) if offset > 1 else None
        except BusyError:
            raise
        except (NotFoundError, UnavailableError):
            return None

    def append(self, session: Session, body: Body, size: int) -> Session:
        """Send that many bytes, up to the end; the session that comes back says what of them arrived."""
        end = session.offset + size
        where = {"Content-Range": f"{session.offset}-{end - 1}"} if session.offset else {}
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size), **where}
        sent = {"headers": headers, "body": body, "seconds": END_SECONDS}
        with closing(self._ask("PATCH", session.location, _ACCEPTED, _EMPTY, **sent)) as response:
            return self._session(session.location, response, _acknowledged(response) or end)

    def end(self, session: Session, digest: Digest, rest: bytes) -> None:
        """Send what is left, and let the blob be seen under its digest."""
        path = f"{session.location}{'&' if '?' in session.location else '?'}{urlencode({'digest': digest})}"
        where = (
            {"Content-Range": f"{session.offset}-{session.offset + len(rest) - 1}"} if session.offset and rest else {}
        )
        headers = {"Content-Type": "application/octet-stream", **where}
        sent = {"headers": headers, "body": rest, "seconds": END_SECONDS}
        with closing(self._ask("PUT", path, _CREATED, _EMPTY, **sent)) as response:
            said = response.headers.get("Docker-Content-Digest", digest)
        if said.startswith("sha256:") and said != digest:
            hint = self.registry.connections.hints.changed
            raise IntegrityError(f"{shown(session.location)} was given {digest} and says that it took {said}", hint)

    def cancel(self, session: Session) -> None:
        """Let the registry forget an upload; one that it keeps costs it room and nothing else."""
        with suppress(TiffinError), closing(self._ask("DELETE", session.location, _OK, _ACCEPTED, _EMPTY)):
            pass

    def _ask(self, method: str, path: str, *expected: int, **more: Any) -> urllib3.BaseHTTPResponse:
        wanted = {"scopes": self.scopes, **more}
        return self.registry.ask(Request(method=method, path=path, expected=frozenset(expected), **wanted))

    def _session(self, path: str, response: urllib3.BaseHTTPResponse, offset: int) -> Session:
        """Read where an upload goes on, its query and all; an answer about one that is known need not repeat it."""
        location = response.headers.get("Location", "") or (path if offset else "")
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        return Session(
            location=self.registry.follow(path, location), offset=offset, least=int(least) if least.isdigit() else 0
        )


def _acknowledged(response: urllib3.BaseHTTPResponse) -> int:
    """How many bytes a registry says it has; 0 where it does not say."""
    found = _RANGE.fullmatch(response.headers.get("Range", ""))
    return int(found[1]) + 1 if found else 0


class Upload:
    """Sends one blob from a stream that can be sought in, until the registry has it whole."""

    def __init__(
        self,
        uploads: Uploads,
        descriptor: Descriptor,
        stream: BinaryIO,
        exists: Callable[[], bool],
        begun: Session | None = None,
    ) -> None:
        """Prepare to send; `exists` asks whether the blob is there by now, `begun` is an upload with nothing in it."""
        self._uploads = uploads
        self._descriptor = descriptor
        self._stream = stream
        self._exists = exists
        self._session = begun
        self._bookmark = Bookmark()
        self._touched = False
        """Whether something of the session may have been sent."""
        self._inherited = False
        """Whether another process may have sent something of the session."""
        self._position = 0
        self._hash = hashlib.sha256()
        self._read = 0
        """How far the stream was read, and hashed, at most."""
        self._reached = 0
        """How much the registry was known to have, at most."""
        self._failed = 0

    def run(self, bookmark: Bookmark) -> None:
        """Send it; raises IntegrityError for other bytes than described, BusyError when patience ends.

        What a process that died had sent, as the bookmark says, is not sent again where the registry still has it.
        """
        self._bookmark = bookmark
        if bookmark.location:
            self._session = Session(location=bookmark.location)
            self._touched = self._inherited = True
        while True:
            try:
                return self._attempt()
            except BusyError as error:
                self._failed += 1
                self._uploads.registry.patience.wait(error, self._failed)
            except IntegrityError:
                if self._session:
                    self._uploads.cancel(self._session)
                bookmark.forget()
                raise

    def _attempt(self) -> None:
        """Go on where the last attempt ended, or begin anew."""
        if self._touched and self._session:
            self._session = self._settled(self._session) if not self._read else self._uploads.look(self._session)
            if self._session and self._session.offset > (self._descriptor.size if self._inherited else self._read):
                self._session = None  # it says that it has what was never sent
        if self._touched and not self._session:
            self._bookmark.forget()
            self._inherited = False
            if self._exists():
                return
        self._session = session = self._session or self._uploads.begin()
        self._bookmark.keep(session.location)
        if session.offset > self._reached:
            self._reached, self._failed = session.offset, 0
        resumed, self._touched = session.offset > 0, True
        try:
            self._send(session)
        except BusyError:
            raise
        except (NotFoundError, UnavailableError) as error:
            self._lost(error, resumed=resumed)

    def _settled(self, session: Session) -> Session | None:
        """Ask how far an upload of a process that died got, until what that had on its way has arrived."""
        seen = self._uploads.look(session)
        while seen:
            self._uploads.registry.patience.pause(SETTLING_SECONDS)
            before, seen = seen, self._uploads.look(seen)
            if seen and seen.offset == before.offset:
                return seen
        return None

    def _send(self, session: Session) -> None:
        size = self._descriptor.size
        if size - session.offset > max(SMALL, session.least):
            body = _Body(lambda: self._pieces(session.offset))
            session = self._session = self._uploads.append(session, body, size - session.offset)
            if session.offset > size:
                self._session = None
                raise self._busy(f"says that it has {session.offset} of {size} bytes")
            if session.offset < size:
                raise self._busy(f"took {session.offset} of {size} bytes")
            self._bookmark.keep(session.location)
        rest = b"".join(self._pieces(session.offset))
        self._uploads.end(session, self._descriptor.digest, rest)
        self._bookmark.forget()

    def _lost(self, error: TiffinError, *, resumed: bool) -> NoReturn:
        """Begin anew where the registry forgot the upload, or may have joined its pieces wrongly; else give up."""
        self._session = None
        self._bookmark.forget()
        if resumed or isinstance(error, NotFoundError):
            raise self._busy(f"does not go on: {error.message}") from error
        raise error

    def _busy(self, what: str) -> BusyError:
        hint = self._uploads.registry.connections.hints.busy
        return BusyError(f"{self._uploads.registry.host}, {self._descriptor.digest}: the upload {what}", hint)

    def _pieces(self, offset: int) -> Iterator[bytes]:
        """Read the stream from an offset to the described end; raises IntegrityError when it is something else."""
        self._position = self._stream.seek(min(offset, self._read)) if offset != self._position else offset
        while self._position < offset:  # another process has sent these
            self._next(offset)
        while self._position < self._descriptor.size:
            yield self._next(self._descriptor.size)
        if self._stream.read(1):
            raise self._differs("is longer")
        digest = Digest("sha256", self._hash.hexdigest())
        if digest != self._descriptor.digest:
            raise self._differs(f"has the digest {digest}")

    def _next(self, end: int) -> bytes:
        """Read on, not beyond the end, and hash what was not read before."""
        piece = self._stream.read(min(PIECE, end - self._position))
        if not piece:
            raise self._differs(f"ends after {self._position} bytes")
        known = max(0, self._read - self._position)
        self._hash.update(piece[known:] if known else piece)
        self._position += len(piece)
        self._read = max(self._read, self._position)
        return piece

    def _differs(self, how: str) -> IntegrityError:
        described = f"{self._descriptor.digest} of {self._descriptor.size} bytes"
        return IntegrityError(f"what should be {described} {how}", "build or pull the image again")


class _Body:
    """Pieces to send that can be had more than once: a request may have to be repeated with other credentials."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces()
