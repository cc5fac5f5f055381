"""Results that a repository of a registry has as well: what one machine made, no other makes again.

A result lies there under the tag that is the hex digits of its key. What comes from there is checked as whatever was
kept here: its digests, and that it is the key's. Who can push to the repository can say what a step gave, though.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from tiffin.errors import FullError, IntegrityError, NotFoundError, TiffinError
from tiffin.network import Patience
from tiffin.oci.copy import AT_ONCE, copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import MANIFEST, Descriptor
from tiffin.oci.reference import Reference
from tiffin.oci.store import Store
from tiffin.pipeline.keeping.artifact import KEY, VALUES, blob_of, read_manifest, read_result
from tiffin.pipeline.keeping.folders import check
from tiffin.pipeline.keeping.kept import KeptResults
from tiffin.pipeline.results import Artifact, Result
from tiffin.pipeline.workbench import Ended, Input, Order
from tiffin.progress import note, parallel
from tiffin.store.records import Records
from tiffin.store.remote.bookmarks import Bookmarks
from tiffin.store.remote.store import RemoteStore

PATIENCE = Patience(attempts=2, unreachable=1, silent=1, silence=20)
"""What another machine made is not waited for as long as what nobody else can make."""


class Repository(Store, Protocol):
    """A place with blobs and tags, such as a repository of a registry."""

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest that a tag means; raises NotFoundError."""
        ...

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let a tag mean a manifest that is there."""
        ...


class SharedResults:
    """Results of this machine, and of all that share a repository.

    One that does not answer, or does not let us in, is told of once, and is not asked again as long as this lives.
    What could not be pushed is pushed by the next run that finds it here.
    """

    def __init__(self, local: KeptResults, repository: Repository, name: str, pushed: Records | None) -> None:
        """Look here first, then in the repository, which notes call by `name`.

        Nothing is pushed where no records remember what was `pushed` already.
        """
        self._local, self._repository, self._name = local, repository, name
        self._pushed = pushed
        self._asks, self._pushes = True, pushed is not None
        self._telling = threading.Lock()

    @classmethod
    def of(
        cls,
        local: KeptResults,
        reference: Reference,
        pushed: Records | None,
        environment: Mapping[str, str] = os.environ,
        bookmarks: Bookmarks | None = None,
    ) -> SharedResults:
        """Share the results of a repository, whatever tag its reference has; nothing is asked of it yet."""
        writing = pushed is not None
        remote = RemoteStore.of(reference, environment, PATIENCE, writing=writing, bookmarks=bookmarks)
        return cls(local, remote, remote.address.name, pushed)

    def find(self, key: Digest) -> Result | None:
        """The result of a key, here or there; what is there is brought here, whole."""
        found = self._local.find(key)
        if found is not None:
            if not self._is_pushed(key):
                self._push(found)
            return found
        if not self._asks:
            return None
        try:
            return self._bring(key)
        except NotFoundError:
            return None
        except FullError:
            raise
        except IntegrityError as error:
            note(f"{self._name}:{key.hex} is not taken, and made anew: {error.message}")
        except TiffinError as error:
            self._stop(f"results are not looked for in {self._name} any more: {_said(error)}", asking=True)
        return None

    def key_of(self, key: Digest) -> bytes | None:
        """The document that a key is the digest of, where this machine remembers it."""
        return self._local.key_of(key)

    def keep(self, document: bytes, order: Order, ended: Ended, seconds: float) -> Result:
        """Keep a result here, then there; that it cannot be pushed is a note."""
        result = self._local.keep(document, order, ended, seconds)
        self._push(result)
        return result

    def take(self, artifact: Artifact) -> Input:
        """Have an artifact lie on this machine."""
        return self._local.take(artifact)

    def _bring(self, key: Digest) -> Result | None:
        """Copy a result here, its manifest last, once it is known to be the key's."""
        descriptor = self._repository.resolve(key.hex)
        if descriptor.media_type != MANIFEST:
            raise IntegrityError(f"it is no result but {descriptor.media_type}")
        manifest = read_manifest(self._repository, descriptor, key)
        store = self._local.store
        self._pull([blob for blob in manifest.blobs if blob.media_type in {KEY, VALUES}], {})
        result = read_result(store, manifest)
        self._pull(manifest.blobs, _titles(result))
        for artifact in result.artifacts.values():
            if artifact.folder:
                with store.open(blob_of(artifact)) as stream:
                    check(stream, artifact.size)
        copy(self._repository, store, descriptor)
        self._local.adopt(key, descriptor)
        self._note_pushed(key, descriptor)
        return self._local.find(key)

    def _pull(self, blobs: Iterable[Descriptor], titles: Mapping[Digest, str]) -> None:
        """Copy what is not here; each by itself, since a manifest may be here whose blobs were damaged."""
        source, store = self._repository, self._local.store
        once = {blob.digest: blob for blob in blobs}.values()
        parallel(lambda blob: copy(source, store, blob, verb="pull", titles=titles), once, workers=AT_ONCE)

    def _push(self, result: Result) -> None:
        """Bring a result there, its tag last; that it cannot be brought is a note."""
        manifest = self._local.described(result.key)
        if not self._pushes or manifest is None:
            return
        try:
            copy(self._local.store, self._repository, manifest, verb="push", titles=_titles(result))
            self._repository.tag(result.key.hex, manifest)
            self._note_pushed(result.key, manifest)
        except TiffinError as error:
            self._stop(f"results are not pushed to {self._name} any more: {_said(error)}", asking=False)

    def _is_pushed(self, key: Digest) -> bool:
        """Say whether what is kept here of a key was there, as far as is remembered."""
        if self._pushed is None:
            return True
        there = self._pushed.get(self._place(key), Descriptor)
        return there is not None and there == self._local.described(key)

    def _note_pushed(self, key: Digest, manifest: Descriptor) -> None:
        if self._pushed is not None:
            with suppress(FullError, OSError):  # then it is pushed once more
                self._pushed.put(self._place(key), manifest)

    def _place(self, key: Digest) -> Digest:
        return Digest.of(f"{self._name}:{key.hex}".encode())

    def _stop(self, message: str, *, asking: bool) -> None:
        """Ask, or push, no more; the first of several threads says so."""
        with self._telling:
            before = self._asks if asking else self._pushes
            self._asks, self._pushes = self._asks and not asking, False
        if before:
            note(message)


def _said(error: TiffinError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _titles(result: Result) -> dict[Digest, str]:
    return {artifact.digest: name for name, artifact in result.artifacts.items()}
