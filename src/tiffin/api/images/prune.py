"""`prune`: delete what nobody needs any more, and nothing that somebody does.

What is needed begins with names: the images that have one, what speaks of them (provenance, signatures), the layers
that containers stand on, and what steps of pipelines gave that somebody asked for in the last month. What a process at
work relies on has no name yet: while there is such a process, what was relied on in the last hour stays. So a document
that stays keeps all that it names. Of each pipeline the runs of that month and the newest ones stay.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum

import msgspec

from tiffin.api.machine.home import Home
from tiffin.deploy.local.places import DATABASE
from tiffin.deploy.local.state import kept_images
from tiffin.engine.embedded.folder import Folders, read_spec
from tiffin.engine.embedded.unpacked import Unpacked
from tiffin.errors import IntegrityError, NotFoundError
from tiffin.layers.layer import Layer
from tiffin.oci.artifact import read_artifact
from tiffin.oci.copy import children
from tiffin.oci.digest import Digest
from tiffin.oci.documents import INDEX, MANIFEST, Descriptor
from tiffin.oci.image import DOCUMENT_LIMIT, read_image
from tiffin.pipeline.running.old import OldRun, let_go, old_runs, sweep_runs
from tiffin.progress import note, step
from tiffin.store.beginnings import Kept
from tiffin.store.layout import LayoutStore

GRACE_SECONDS = 3600
"""For how long something stays that was relied on, while another process is at work."""
_DAY = 24 * 3600
RESULTS_DAYS = 30
"""For how long the result of a step stays that no run asks for, and what was written of a run."""


class Kind(StrEnum):
    """What a thing is that nobody needs."""

    BLOB = "blob"
    UNPACKED = "unpacked"
    """A layer as containers stand on it."""
    TAKEN = "taken"
    """What a step gave, as other steps read it."""
    BEGUN = "begun"
    """What came of a blob whose source broke off."""


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that nobody needs: bytes on the disk, and when somebody last relied on it, in seconds since 1970."""

    kind: Kind
    digest: Digest
    size: int
    used: float


class PrunePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune deletes, in this order; `busy` says that another process is at work, whose things stay."""

    garbage: list[Garbage]
    runs: list[OldRun] = []
    size: int
    busy: bool = False


class _Document(msgspec.Struct):
    """As much of a blob as shows which kind of document it is."""

    manifests: msgspec.Raw = msgspec.Raw()
    layers: msgspec.Raw = msgspec.Raw()
    config: msgspec.Raw = msgspec.Raw()


_DOCUMENTS = msgspec.json.Decoder(_Document)


def plan_prune(older: float = 0, *, home: Home | None = None) -> PrunePlan:
    """Say what a prune would delete: what nobody needs, and nobody relied on for `older` days."""
    home = home or Home.of()
    with home.store.alone() as alone:
        busy = not alone
    return _plan(home, older, busy=busy)


def prune(older: float = 0, *, home: Home | None = None) -> PrunePlan:
    """Delete what nobody needs, and return what was deleted."""
    home = home or Home.of()
    with home.store.alone() as alone, step("prune", str(home.data)):
        home.results.forget(max(older, RESULTS_DAYS) * _DAY)
        plan = _plan(home, older, busy=not alone)
        if plan.busy:
            note("another process uses the store: what was relied on in the last hour stays")
        _forget(home, plan)
        deleted = _delete(home, plan.garbage)
        for run in plan.runs:
            let_go(run)
        sweep_runs(home.pipelines)
        home.sweep()
        home.results.sweep()
        home.bookmarks.sweep()
    return PrunePlan(garbage=deleted, runs=plan.runs, size=_size(deleted, plan.runs), busy=plan.busy)


def _plan(home: Home, older: float, *, busy: bool) -> PrunePlan:
    before = time.time() - max(older * _DAY, GRACE_SECONDS if busy else 0)
    all_ = not (older or busy)
    needed = needed_blobs(home.store) | _below(home.store, [*_deployed(home.store), *_results(home, older)])
    garbage = [
        *_blobs(home.store, set(needed), before, all_=all_),
        *_layers(home, before, all_=all_),
        *(() if busy else _taken(home, needed)),
        *_begun(home.store, before, all_=all_),
    ]
    runs = old_runs(home.pipelines, time.time() - max(older, RESULTS_DAYS) * _DAY)
    return PrunePlan(garbage=garbage, runs=runs, size=_size(garbage, runs), busy=busy)


def _size(garbage: Iterable[Garbage], runs: Iterable[OldRun]) -> int:
    return sum(part.size for part in garbage) + sum(run.size for run in runs)


def _blobs(store: LayoutStore, needed: set[Digest], before: float, *, all_: bool) -> list[Garbage]:
    """Find the blobs that nothing leads to; documents come before what they name."""
    blobs = store.blobs()
    documents = {blob.digest: found for blob in blobs if (found := _document(store, blob))}
    for blob in blobs:
        if blob.digest in documents and not (all_ or blob.used < before):
            needed |= _below(store, [documents[blob.digest]])
    left = [blob for blob in blobs if blob.digest not in needed and (all_ or blob.used < before)]
    order = {INDEX: 0, MANIFEST: 1}
    left.sort(
        key=lambda blob: (order[documents[blob.digest].media_type] if blob.digest in documents else 2, blob.digest)
    )
    return [Garbage(kind=Kind.BLOB, digest=blob.digest, size=blob.size, used=blob.used) for blob in left]


def _results(home: Home, older: float) -> list[Descriptor]:
    """What steps of pipelines gave, as far as somebody asked for it of late."""
    return home.results.roots(time.time() - max(older, RESULTS_DAYS) * _DAY)


def _taken(home: Home, needed: set[Digest]) -> list[Garbage]:
    """Find what lies ready for steps to read and is no result's any more; nobody reads it while nobody is at work."""
    return [
        Garbage(kind=Kind.TAKEN, digest=taken.digest, size=taken.size, used=taken.used)
        for taken in home.results.taken()
        if taken.digest not in needed
    ]


def _deployed(store: LayoutStore) -> list[Descriptor]:
    """The images that services of this machine run, or could go back to."""
    return [
        Descriptor(
            media_type=MANIFEST, digest=digest, size=(store.root / "blobs" / "sha256" / digest.hex).stat().st_size
        )
        for digest in kept_images(store.root / DATABASE)
        if (store.root / "blobs" / "sha256" / digest.hex).is_file()
    ]


def needed_blobs(store: LayoutStore) -> set[Digest]:
    """Everything that a name leads to, and what speaks of it, and what speaks of that."""
    needed = _below(store, store.names().values())
    waiting = store.listed()
    while True:
        speaking = [found for found in waiting if _subject(store, found) in {None, *needed}]
        if not speaking:
            return needed
        needed |= _below(store, speaking)
        waiting = [found for found in waiting if found not in speaking]


def _below(store: LayoutStore, descriptors: Iterable[Descriptor]) -> set[Digest]:
    """The digests of documents, and of all that they name."""
    found: set[Digest] = set()
    waiting = list(descriptors)
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest not in found:
            found.add(descriptor.digest)
            with suppress(NotFoundError, IntegrityError):  # a damaged one names nothing
                waiting += children(store, descriptor)
    return found


def _subject(store: LayoutStore, manifest: Descriptor) -> Digest | None:
    try:
        return read_artifact(store, manifest).subject.digest
    except (IntegrityError, NotFoundError):
        return None


def _document(store: LayoutStore, blob: Kept) -> Descriptor | None:
    """Describe a blob that is a manifest or an index; None for any other."""
    if blob.size > DOCUMENT_LIMIT:
        return None
    try:
        data = (store.root / "blobs" / "sha256" / blob.digest.hex).read_bytes()
        found = _DOCUMENTS.decode(data) if data.startswith(b"{") else _Document()
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not (found.manifests or (found.layers and found.config)):
        return None
    return Descriptor(media_type=INDEX if found.manifests else MANIFEST, digest=blob.digest, size=blob.size)


def _layers(home: Home, before: float, *, all_: bool) -> list[Garbage]:
    """Find the unpacked layers that no container and no image with a name has."""
    unpacked = _unpacked(home)
    folders = Folders(home.data / "containers").all()
    needed = {layer for folder in folders for layer in read_spec(folder).layers}
    for descriptor in [*home.store.names().values(), *_deployed(home.store)]:
        with suppress(NotFoundError, IntegrityError):
            needed |= set(read_image(home.store, descriptor).config.rootfs.diff_ids)
    return [
        Garbage(kind=Kind.UNPACKED, digest=layer, size=unpacked.size(layer), used=used)
        for layer, used in sorted(unpacked.all().items())
        if layer not in needed and (all_ or used < before)
    ]


def _begun(store: LayoutStore, before: float, *, all_: bool) -> list[Garbage]:
    """Find what is left of blobs that never came whole."""
    return [
        Garbage(kind=Kind.BEGUN, digest=begun.digest, size=begun.size, used=begun.used)
        for begun in store.beginnings.all()
        if all_ or begun.used < before
    ]


def _forget(home: Home, plan: PrunePlan) -> None:
    """Let nothing lead to what will be gone: what spoke of images that are, and what would make them again."""
    gone = {part.digest for part in plan.garbage if part.kind is Kind.BLOB}
    dead = [found.digest for found in home.store.listed() if found.digest in gone]
    if dead:
        home.store.forget(dead)
    for key, layer in home.records("layers").all(Layer).items():
        if layer.descriptor.digest in gone:
            home.records("layers").forget(key)
    for key, image in home.records("images").all(Descriptor).items():
        if image.digest in gone:
            home.records("images").forget(key)


def _delete(home: Home, garbage: Iterable[Garbage]) -> list[Garbage]:
    """Delete what nobody has come to rely on in the meantime; returns what is gone."""
    deleted, kept = [], set[Digest]()
    for part in garbage:
        seen = Kept(digest=part.digest, size=part.size, used=part.used)
        if part.kind is Kind.UNPACKED:
            gone = _unpacked(home).drop(part.digest, part.used)
        elif part.kind is Kind.TAKEN:
            gone = home.results.let_go(part.digest)
        elif part.kind is Kind.BEGUN:
            gone = home.store.beginnings.drop(seen)
        else:
            gone = part.digest not in kept and home.store.drop(seen)
            if not gone and (document := _document(home.store, seen)):
                kept |= _below(home.store, [document])
        if gone:
            deleted.append(part)
    return deleted


def _unpacked(home: Home) -> Unpacked:
    def never(*_: object) -> None:
        raise AssertionError("a prune unpacks nothing")

    return Unpacked(home.data / "unpacked", never)
