"""A repository of a registry as a store, for reading; writing comes with pushing."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import closing
from typing import BinaryIO

import urllib3

from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.network import PATIENCE, Patience
from tiffin.oci.digest import Digest
from tiffin.oci.documents import DOCUMENTS, Descriptor
from tiffin.oci.image import DOCUMENT_LIMIT
from tiffin.oci.reference import Reference
from tiffin.store.remote.address import Address
from tiffin.store.remote.client import Registry, Request
from tiffin.store.remote.download import PARTIAL, UNSATISFIABLE, Download

_ACCEPT = {"Accept": ", ".join(sorted(DOCUMENTS, reverse=True))}
_BEGINNING = frozenset({200})
_RESUMED = frozenset({200, PARTIAL, UNSATISFIABLE})


class RemoteStore:
    """What one repository holds; `resolve` takes its tags and digests."""

    def __init__(self, registry: Registry, address: Address) -> None:
        """Read a repository; nothing is asked of its registry yet."""
        self._registry = registry
        self._address = address
        self._scopes = (f"repository:{address.repository}:pull",)
        self._documents: dict[Digest, bytes] = {}

    @classmethod
    def of(
        cls, reference: Reference, environment: Mapping[str, str] = os.environ, patience: Patience = PATIENCE
    ) -> RemoteStore:
        """Find the repository that a reference names."""
        address = Address.of(reference)
        return cls(Registry(address, environment, patience), address)

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index that a tag or a digest means; raises NotFoundError.

        Raises UnsupportedError for a kind that no image has, IntegrityError for other bytes than the registry says.
        """
        data, media_type, said = self._registry.patience.tried(lambda: self._document(name))
        descriptor = Descriptor.of(data, media_type)
        expected = Digest.parse(name) if name.startswith("sha256:") else said
        if expected not in {"", descriptor.digest}:
            raise self._changed(f"{expected} was expected, and {descriptor.digest} came", name)
        self._documents[descriptor.digest] = data
        return descriptor

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

        def begin(offset: int) -> urllib3.BaseHTTPResponse:
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            return self._registry.ask(
                self._request("GET", descriptor, headers, expected=_RESUMED if offset else _BEGINNING)
            )

        where = f"{self._address.name}@{descriptor.digest}"
        download = Download(descriptor, where, begin, self._registry.connections, self._registry.patience)
        return io.BufferedReader(download)

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:  # noqa: ARG002 - the seam's signature
        """Refuse: a registry is only read yet."""
        raise UnsupportedError(f"{self._address.name} is only read yet", "push with `skopeo copy`")

    def _document(self, name: str) -> tuple[bytes, str, str]:
        """Read a manifest: its bytes, what kind it is, and the digest that the registry says it has."""
        path = f"/v2/{self._address.repository}/manifests/{name}"
        request = Request(method="GET", path=path, scopes=self._scopes, headers=_ACCEPT)
        where = f"{self._address.name}, {name}"
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
        path = f"/v2/{self._address.repository}/{kind}/{descriptor.digest}"
        accept = _ACCEPT if kind == "manifests" else {}
        return Request(method=method, path=path, scopes=self._scopes, headers={**accept, **headers}, expected=expected)

    def _changed(self, message: str, name: str) -> IntegrityError:
        return IntegrityError(f"{self._address.name}, {name}: {message}", self._registry.connections.hints.changed)
