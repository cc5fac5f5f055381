"""A repository of a registry as a store (distribution-spec 1.1)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import BinaryIO, TypeVar

import msgspec
import urllib3

from tiffin.errors import IntegrityError, NotFoundError, TiffinError, UnavailableError, UnsupportedError
from tiffin.network import PATIENCE, BusyError, Patience
from tiffin.oci.digest import Digest
from tiffin.oci.documents import DOCUMENTS, Descriptor
from tiffin.oci.image import DOCUMENT_LIMIT, read_document
from tiffin.oci.reference import Reference
from tiffin.progress import note
from tiffin.store.remote.address import Address
from tiffin.store.remote.bookmarks import Bookmark, Bookmarks
from tiffin.store.remote.client import Registry, Request
from tiffin.store.remote.download import PARTIAL, UNSATISFIABLE, Download, Origin
from tiffin.store.remote.places import Place, Pulls, find_places
from tiffin.store.remote.ranges import Lanes, Ranged
from tiffin.store.remote.referrers import RemoteReferrers, is_list
from tiffin.store.remote.tags import list_tags
from tiffin.store.remote.turns import Turns
from tiffin.store.remote.upload import SMALL, Session, Upload, Uploads

_ACCEPT = {"Accept": ", ".join(sorted(DOCUMENTS, reverse=True))}
_BEGINNING = frozenset({200})
_UNKNOWN_BLOB = "MANIFEST_BLOB_UNKNOWN"
_STORED = frozenset({200, 201, 202})
_RESUMED = frozenset({200, PARTIAL, UNSATISFIABLE})


T = TypeVar("T")
Nearby = Callable[[Digest], Sequence[str]]
"""Finds other repositories of the same registry that may have a blob, the likeliest first."""


def nowhere(_: Digest) -> Sequence[str]:
    """Know of no other repository."""
    return ()


class RemoteStore:
    """What one repository holds; `resolve` takes its tags and digests.

    What is put is seen when it is whole. Blobs that another repository may have are mounted instead of being sent.
    """

    def __init__(
        self,
        registry: Registry,
        address: Address,
        *,
        writing: bool = False,
        nearby: Nearby = nowhere,
        bookmarks: Bookmarks | None = None,
    ) -> None:
        """Open a repository; nothing is asked of its registry yet. The right to write is asked for where `writing`.

        With `bookmarks`, what a process that died had sent of a blob need not be sent again.
        """
        self.address = address
        self.lanes = Lanes()
        self.turns: Turns | None = None
        """Whose turn it is to change what all change, among the processes of this machine."""
        self._registry = registry
        self._uploads = Uploads(registry, address.repository)
        self._scopes = self._uploads.scopes if writing else (f"repository:{address.repository}:pull",)
        self._nearby = nearby
        self._bookmarks = bookmarks
        self._documents: dict[Digest, bytes] = {}
        self._begun: dict[Digest, Session] = {}
        self._beside = RemoteReferrers(registry, address.repository, self._scopes, self._uploads.scopes, self._turn)
        self._known_beside: set[Digest] = set()
        """Manifests of which the registry said that it has noted their subject."""
        self._mirrors: list[_Mirror] = []

    @classmethod
    def of(
        cls,
        reference: Reference,
        environment: Mapping[str, str] = os.environ,
        patience: Patience = PATIENCE,
        *,
        writing: bool = False,
        nearby: Nearby = nowhere,
        bookmarks: Bookmarks | None = None,
    ) -> RemoteStore:
        """Find the repository that a reference names."""
        places = find_places(Address.of(reference), environment)
        registry = Registry(places.own.address, environment, patience, insecure=places.own.insecure)
        store = cls(registry, places.own.address, writing=writing, nearby=nearby, bookmarks=bookmarks)
        store._mirrors = [] if writing else [_Mirror.of(place, environment, patience) for place in places.mirrors]
        return store

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index that a tag or a digest means; raises NotFoundError.

        Raises UnsupportedError for a kind that no image has, IntegrityError for other bytes than the registry says.
        """
        for mirror in self._mirrors:
            if mirror.suits(name) and (found := mirror.resolve(name)):
                self._documents |= mirror.store._documents  # noqa: SLF001 - it is one of this class
                return found
        data, media_type, said = self._registry.patience.tried(lambda: self._document(name))
        descriptor = Descriptor.of(data, media_type)
        expected = Digest.parse(name) if name.startswith("sha256:") else said
        if expected not in {"", descriptor.digest}:
            raise self._changed(f"{expected} was expected, and {descriptor.digest} came", name)
        self._documents[descriptor.digest] = data
        return descriptor

    def digest_of(self, tag: str) -> Digest:
        """Ask what a tag means, but no mirror, which may be behind; raises NotFoundError."""
        path = f"/v2/{self.address.repository}/manifests/{tag}"
        request = Request(method="HEAD", path=path, scopes=self._scopes, headers=_ACCEPT)
        with closing(self._registry.patience.tried(lambda: self._registry.ask(request))) as response:
            said = response.headers.get("Docker-Content-Digest", "")
        return Digest.parse(said) if said.startswith("sha256:") else self.resolve(tag).digest

    def exists(self, descriptor: Descriptor) -> bool:
        """Ask whether the whole content is there."""
        request = self._request("HEAD", descriptor)
        try:
            with closing(self._registry.patience.tried(lambda: self._registry.ask(request))) as response:
                length = response.headers.get("Content-Length", "")
        except NotFoundError:
            return False
        return not length.isdigit() or int(length) == descriptor.size

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading; raises NotFoundError where it is absent. Its digest is checked by who reads."""
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])

        def begin(offset: int, end: int | None) -> urllib3.BaseHTTPResponse:
            answers = (mirror.begin(descriptor, offset, end) for mirror in self._mirrors)
            return next(filter(None, answers), None) or self._begin(descriptor, offset, end)

        origin = Origin(
            descriptor=descriptor,
            name=f"{self.address.name}@{descriptor.digest}",
            begin=begin,
            connections=self._registry.connections,
            patience=self._registry.patience,
        )
        large = descriptor.size > self.lanes.above
        return io.BufferedReader(Ranged(origin, self.lanes) if large else Download(origin))

    def _begin(self, descriptor: Descriptor, offset: int, end: int | None) -> urllib3.BaseHTTPResponse:
        headers = {"Range": f"bytes={offset}-{'' if end is None else end - 1}"} if offset or end else {}
        return self._registry.ask(
            self._request("GET", descriptor, headers, expected=_RESUMED if headers else _BEGINNING)
        )

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Keep the content, whole or not at all; raises IntegrityError when digest or size differ."""
        if descriptor.media_type not in DOCUMENTS:
            begun = self._begun.pop(descriptor.digest, None)
            with self._bookmark(descriptor) as bookmark:
                Upload(self._uploads, descriptor, stream, lambda: self.exists(descriptor), begun).run(bookmark)
            return
        data = stream.read(descriptor.size + 1)
        if Descriptor.of(data, descriptor.media_type).digest != descriptor.digest:
            raise IntegrityError(f"{descriptor.digest}: the bytes given have another digest", "build or pull it again")
        self._put_document(descriptor.digest, descriptor, data)

    def _bookmark(self, descriptor: Descriptor) -> AbstractContextManager[Bookmark]:
        """Have a place to remember how far the upload of a blob is, where that is worth it."""
        if self._bookmarks is None or descriptor.size <= SMALL:
            return nullcontext(Bookmark())
        return self._bookmarks.of(self.address, descriptor.digest)

    def _turn(self) -> AbstractContextManager[None]:
        return self.turns.of(self.address) if self.turns else nullcontext()

    def mount(self, descriptor: Descriptor) -> bool:
        """Take a blob over from another repository of the registry, without moving it; False where it has to be put."""
        source = self.mountable(descriptor)
        if source is None:
            return False
        try:
            session = self._registry.patience.tried(lambda: self._uploads.mount(descriptor.digest, source))
        except TiffinError:
            return False  # putting it says what is wrong, if anything is
        if session:
            self._begun[descriptor.digest] = session
        return session is None

    def mountable(self, descriptor: Descriptor) -> str | None:
        """Return the repository that a blob would be mounted from, which the registry may refuse; None for none."""
        if descriptor.media_type in DOCUMENTS:
            return None
        others = (name for name in self._nearby(descriptor.digest) if name != self.address.repository)
        return next(others, None)

    def sibling(self, repository: str) -> RemoteStore:
        """Return another repository of the same registry, for reading."""
        return RemoteStore(self._registry, Address(host=self.address.host, repository=repository))

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let a tag mean a manifest or index that is here, from now on."""
        data = self._documents.get(descriptor.digest) or read_document(self, descriptor)
        self._put_document(name, descriptor, data)

    def tags(self) -> list[str]:
        """List the tags, as the registry orders them; raises NotFoundError where there is no such repository.

        Those that list referrers are no names of images and are left out.
        """
        listed = list_tags(self._registry, self.address.repository, self._scopes)
        return [tag for tag in listed if not is_list(tag)]

    def referrers(self, subject: Descriptor) -> list[Descriptor]:
        """Return the manifests that have this subject, each with its artifact type and annotations, as it is told."""
        return self._beside.all(subject.digest)

    def refer(self, manifest: Descriptor, subject: Descriptor) -> None:
        """Let a manifest that is here, and has this subject, be found among its referrers."""
        if manifest.digest in self._known_beside:
            return
        listed = self._beside.listed(subject.digest)
        if listed is not None:
            if manifest.digest in {found.digest for found in listed}:
                return
            self.tag(
                manifest.digest, manifest
            )  # it was there before the registry learnt to list, or its answer was lost
        if manifest.digest not in self._known_beside:
            self._beside.tell(manifest, subject.digest)

    def _put_document(self, name: str, descriptor: Descriptor, data: bytes) -> None:
        request = Request(
            method="PUT",
            path=f"/v2/{self.address.repository}/manifests/{name}",
            scopes=self._uploads.scopes,
            headers={"Content-Type": descriptor.media_type},
            body=data,
            expected=_STORED,
        )
        with closing(self._registry.patience.tried(lambda: self._taken(request))) as response:
            said = response.headers.get("Docker-Content-Digest", "")
            if response.headers.get("OCI-Subject"):
                self._known_beside.add(descriptor.digest)
        if said.startswith("sha256:") and said != descriptor.digest:
            raise self._changed(f"{descriptor.digest} was sent, and the registry says that it took {said}", name)
        self._documents[descriptor.digest] = data

    def _taken(self, request: Request) -> urllib3.BaseHTTPResponse:
        """Have a manifest taken. docker-registry may not know a blob for a moment that somebody else sends as well."""
        try:
            return self._registry.ask(request)
        except UnavailableError as error:
            if _UNKNOWN_BLOB in error.message:
                raise BusyError(error.message, error.hint or "push it again") from error
            raise

    def _document(self, name: str) -> tuple[bytes, str, str]:
        """Read a manifest: its bytes, what kind it is, and the digest that the registry says it has."""
        path = f"/v2/{self.address.repository}/manifests/{name}"
        request = Request(method="GET", path=path, scopes=self._scopes, headers=_ACCEPT)
        where = f"{self.address.name}, {name}"
        with closing(self._registry.ask(request)) as response:
            with self._registry.connections.translated(where):
                data = response.read(DOCUMENT_LIMIT + 1)
            if len(data) > DOCUMENT_LIMIT:
                raise IntegrityError(f"the manifest of {where} has more than {DOCUMENT_LIMIT} bytes")
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            said = response.headers.get("Docker-Content-Digest", "")
        if media_type not in DOCUMENTS:
            hint = "push it anew with a tool of this decade: manifests of schema 1 and other artifacts are not read"
            raise UnsupportedError(f"{where} is no image but {media_type[:100] or 'of no kind'!r}", hint)
        return data, media_type, said if said.startswith("sha256:") else ""

    def _request(
        self,
        method: str,
        descriptor: Descriptor,
        headers: Mapping[str, str] = {},
        expected: frozenset[int] = _BEGINNING,
    ) -> Request:
        kind = "manifests" if descriptor.media_type in DOCUMENTS else "blobs"
        path = f"/v2/{self.address.repository}/{kind}/{descriptor.digest}"
        accept = _ACCEPT if kind == "manifests" else {}
        return Request(method=method, path=path, scopes=self._scopes, headers={**accept, **headers}, expected=expected)

    def _changed(self, message: str, name: str) -> IntegrityError:
        return IntegrityError(f"{self.address.name}, {name}: {message}", self._registry.connections.hints.changed)


class _Mirror:
    """A place that may have a repository's content; one that fails, other than by lacking it, is asked no more."""

    def __init__(self, store: RemoteStore, pulls: Pulls) -> None:
        self.store, self._pulls = store, pulls
        self._fails = False

    @classmethod
    def of(cls, place: Place, environment: Mapping[str, str], patience: Patience) -> _Mirror:
        """Have a mirror, which is asked once."""
        once = msgspec.structs.replace(patience, attempts=1, unreachable=1)
        registry = Registry(place.address, environment, once, insecure=place.insecure)
        return cls(RemoteStore(registry, place.address), place.pulls)

    def suits(self, name: str) -> bool:
        """Say whether it is asked for a name of this kind."""
        return self._pulls is Pulls.ALL or (self._pulls is Pulls.DIGESTS) == name.startswith("sha256:")

    def resolve(self, name: str) -> Descriptor | None:
        """Return what a name means there; None where the next one has to be asked."""
        return self._tried(lambda: self.store.resolve(name))

    def begin(self, descriptor: Descriptor, offset: int, end: int | None) -> urllib3.BaseHTTPResponse | None:
        """Begin to read content there; None where the next one has to be asked."""
        return self._tried(lambda: self.store._begin(descriptor, offset, end))  # noqa: SLF001 - what it is a mirror for

    def _tried(self, ask: Callable[[], T]) -> T | None:
        if self._fails:
            return None
        try:
            return ask()
        except NotFoundError:
            return None
        except TiffinError as error:
            self._fails = True
            note(f"{self.store.address.name} is a mirror that fails, and is asked no more: {error.message}")
            return None
