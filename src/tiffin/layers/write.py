"""Entries in, one deterministic layer out, in one pass and with bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tiffin.errors import IntegrityError
from tiffin.layers.entry import Entry, Kind
from tiffin.layers.layer import Layer
from tiffin.layers.order import arrange
from tiffin.layers.output import BLOCK, Output, output
from tiffin.layers.tar import END, header, padding
from tiffin.oci.store import Ingests

Links = Sequence[tuple[str, str]]


def write_layer(entries: Iterable[Entry], store: Ingests, *, compress: bool = True, links: Links = ()) -> Layer:
    """Write a layer of these entries, in whatever order they come, into the store.

    The result depends on the entries and `links` alone: folders that are links where the layer will lie, with where
    they lead, so that their files are put there and no folder takes a link's place. Files that are `deflated` already
    are spliced in as they are; the rest is compressed in blocks. Raises IntegrityError for paths that cannot be in one
    layer and for content that is not as long as its entry says.
    """
    ordered = arrange(moved(entry, links) for entry in entries)
    with store.ingest() as ingest, output(ingest, compress=compress) as out:
        for entry in ordered:
            out.write(header(entry))
            if entry.kind is Kind.FILE and entry.size:
                _write_content(out, entry)
                out.write(padding(entry.size))
        out.write(END)
        return out.finish()


def moved(entry: Entry, links: Links) -> Entry:
    """Put an entry where its folder leads to; a folder that is a link itself is there already."""
    for folder, target in links:
        if entry.path == folder or entry.path.startswith(f"{folder}/"):
            return msgspec.structs.replace(entry, path=target + entry.path.removeprefix(folder))
    return entry


def _write_content(out: Output, entry: Entry) -> None:
    if entry.deflated:
        out.splice(entry.deflated, entry.size)
        return
    written = 0
    for data in _read(entry):
        written += len(data)
        out.write(data)
        if written > entry.size:
            break
    if written != entry.size:
        raise IntegrityError(
            f"{entry.path} is not {entry.size} bytes long as it was when the layer was planned",
            "leave its file alone while a build runs, then build again",
        )


def _read(entry: Entry) -> Iterator[bytes]:
    if entry.open is None:
        raise IntegrityError(f"{entry.path} is {entry.size} bytes long but has no content")
    with entry.open() as stream:
        while data := stream.read(BLOCK):
            yield data
