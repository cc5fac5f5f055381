"""What speaks of a manifest in a repository: by the registry's own list, or by an index under a tag made of its digest.

distribution-spec 1.1, "Listing Referrers", "Pushing Manifests with Subject", "Referrers Tag Schema". The tag is for
registries without such a list. Nothing keeps two machines from writing it at once, so whoever writes it looks again a
moment later, and writes once more where another was faster; the processes of one machine take turns.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

import msgspec

from tiffin.errors import ConflictError, IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import INDEX, INDEXES, Descriptor, Index, decode_foreign, encode
from tiffin.oci.image import DOCUMENT_LIMIT
from tiffin.store.remote.auth import Scopes
from tiffin.store.remote.client import Registry, Request
from tiffin.store.remote.tags import next_page

MOST_PAGES = 100
TRIES = 12
"""How often the tag is written before we give way to whoever else writes it."""
PAUSE = 0.1
"""Seconds after which we look again, at least; up to twice as many, and more where the registry is slow."""
_OK = 200
_NO_LIST = frozenset({400, 404, 405, 501})
"""What registries that do not know the path answer; those that know it must not answer 404."""
_ABSENT = 404
_STORED = frozenset({200, 201, 202})
_CHANGED = 412
_LIST = re.compile(r"sha256-[0-9a-f]{64}")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the tag says: entries as they were written, whatever else is in them, and the answer's ETag."""

    entries: list[Any]
    etag: str = ""

    def has(self, digest: Digest) -> bool:
        """Say whether a manifest is among the entries."""
        return any(isinstance(entry, dict) and entry.get("digest") == digest for entry in self.entries)


class RemoteReferrers:
    """The referrers of one repository; `scopes` are for reading, and `writing` for the tag."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        scopes: Scopes,
        writing: Scopes,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Open a repository; nothing is asked of its registry yet. The tag is written when it is our `turn`."""
        self._registry = registry
        self._repository = repository
        self._scopes = scopes
        self._writing = writing
        self._turn = turn

    def all(self, subject: Digest) -> list[Descriptor]:
        """Return what speaks of a manifest: by the list, and by the tag where the list is empty or there is none."""
        listed = self.listed(subject)
        if listed:
            return listed
        where = f"the tag {tag_of(subject)} of {self._registry.host}/{self._repository}"
        entries = {"manifests": self._told(subject).entries}
        return _unique(decode_foreign(Index, encode(entries), where).manifests)

    def listed(self, subject: Digest) -> list[Descriptor] | None:
        """Ask the registry's own list, page after page; None where it has none."""
        path = f"/v2/{self._repository}/referrers/{subject}"
        found: list[Descriptor] = []
        seen: set[str] = set()
        while path:
            if path in seen or len(seen) == MOST_PAGES:
                hint = self._registry.connections.hints.refused
                raise IntegrityError(f"{self._registry.host} lists the referrers of {subject} on and on", hint)
            seen.add(path)
            page = self._page(path)
            if page is None:
                return None
            manifests, path = page
            found += manifests
        return _unique(found)

    def tell(self, manifest: Descriptor, subject: Digest) -> None:
        """Let the tag list a manifest; raises ConflictError where others write it again and again."""
        with self._turn():
            self._tell(manifest, subject)

    def _tell(self, manifest: Descriptor, subject: Digest) -> None:
        for _ in range(TRIES):
            began = time.monotonic()
            told = self._told(subject)
            if told.has(manifest.digest):
                return
            self._write(subject, [*told.entries, msgspec.json.decode(encode(manifest))], told.etag)
            took = time.monotonic() - began
            self._registry.patience.pause(PAUSE * (1 + secrets.randbelow(100) / 100) + 2 * took)
        raise ConflictError(
            f"{self._registry.host}/{self._repository}: others keep writing the tag {tag_of(subject)}",
            "push again when they are done",
        )

    def _page(self, path: str) -> tuple[list[Descriptor], str] | None:
        answer = self._get(path, {"Accept": INDEX}, _NO_LIST)
        if answer is None:
            return None
        data, headers = answer
        if headers.get("Content-Type", "").partition(";")[0].strip() != INDEX:
            return None  # whoever answers everything with a page for people knows no list
        where = f"the list of referrers of {self._registry.host}"
        return decode_foreign(Index, data, where).manifests, next_page(path, headers.get("Link", ""))

    def _told(self, subject: Digest) -> Told:
        path = f"/v2/{self._repository}/manifests/{tag_of(subject)}"
        answer = self._get(path, {"Accept": ", ".join(sorted(INDEXES))}, frozenset({_ABSENT}))
        if answer is None:
            return Told(entries=[])
        data, headers = answer
        where = f"the tag {tag_of(subject)} of {self._registry.host}/{self._repository}"
        decode_foreign(Index, data, where)
        return Told(entries=msgspec.json.decode(data)["manifests"], etag=headers.get("ETag", ""))

    def _write(self, subject: Digest, entries: list[Any], etag: str) -> None:
        """Write the tag; a registry that keeps to conditions does not where it was changed meanwhile."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        request = Request(
            method="PUT",
            path=f"/v2/{self._repository}/manifests/{tag_of(subject)}",
            scopes=self._writing,
            headers={"Content-Type": INDEX, **({"If-Match": etag} if etag else {})},
            body=msgspec.json.encode(index),
            expected=_STORED | {_CHANGED},
        )
        with closing(self._registry.patience.tried(lambda: self._registry.ask(request))):
            pass

    def _get(
        self, path: str, headers: Mapping[str, str], absent: frozenset[int]
    ) -> tuple[bytes, Mapping[str, str]] | None:
        """Read a document of the registry, and the answer's headers; None for the statuses that mean there is none."""
        request = Request(
            method="GET", path=path, scopes=self._scopes, headers=headers, expected=frozenset({_OK}) | absent
        )

        def attempt() -> tuple[bytes, Mapping[str, str]] | None:
            with closing(self._registry.ask(request)) as response:
                if response.status != _OK:
                    return None
                with self._registry.connections.translated(self._registry.host):
                    data = response.read(DOCUMENT_LIMIT + 1)
                return data, response.headers

        answer = self._registry.patience.tried(attempt)
        if answer and len(answer[0]) > DOCUMENT_LIMIT:
            raise IntegrityError(f"{self._registry.host}{path} has more than {DOCUMENT_LIMIT} bytes")
        return answer


def tag_of(digest: Digest) -> str:
    """The tag whose index lists what speaks of a manifest, where the registry has no list."""
    return f"{digest.algorithm}-{digest.hex}"


def is_list(tag: str) -> bool:
    """Say whether a tag is one that lists referrers."""
    return _LIST.fullmatch(tag) is not None


def _unique(found: list[Descriptor]) -> list[Descriptor]:
    return list({one.digest: one for one in found}.values())
