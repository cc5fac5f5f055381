"""Where two layers differ is told by the first member that is not the same, and how."""

from __future__ import annotations

import io

import pytest

from tiffin.errors import IntegrityError
from tiffin.layers.compare import LayerBlob, first_difference
from tiffin.layers.entry import Entry
from tiffin.layers.write import write_layer
from tiffin.oci.documents import LAYER_GZIP
from tiffin.store.memory import MemoryStore

ENTRIES = (Entry.of("a/one", b"1"), Entry.of("a/two", b"22"), Entry.symlink("b", "a/one"))


def told(found: tuple[Entry, ...], expected: tuple[Entry, ...] = ENTRIES) -> str:
    store = MemoryStore()
    one, other = (write_layer(entries, store).descriptor for entries in (found, expected))
    return first_difference(LayerBlob(store.open(one), one.media_type), LayerBlob(store.open(other), other.media_type))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (Entry.of("a/two", b"2x"), "a/two: other content"),
        (Entry.of("a/two", b"222"), "a/two: other content (3 bytes, not 2)"),
        (Entry.of("a/two", b"22", executable=True), "a/two: mode 0755, not 0644"),
        (Entry.symlink("a/two", "one"), "a/two: another kind of path"),
        (Entry.of("a/three", b"22"), "a/three: not expected"),
        (Entry.directory("a/two"), "a/two/: not expected"),
    ],
)
def test_a_member_that_is_not_the_same_is_named(changed: Entry, words: str) -> None:
    assert told((ENTRIES[0], changed, ENTRIES[2])) == words


def test_a_link_that_leads_elsewhere_is_named() -> None:
    assert told((*ENTRIES[:2], Entry.symlink("b", "a/two"))) == "b: leads elsewhere"


def test_what_is_missing_is_named() -> None:
    assert told(ENTRIES[:1]) == "a/two: missing"


def test_the_first_of_several_counts() -> None:
    assert told((Entry.of("a/one", b"x"), Entry.of("a/two", b"xx"))) == "a/one: other content"


def test_the_same_members_do_not_differ() -> None:
    assert told(ENTRIES[::-1]) == ""


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b" + bytes(50), b"no gzip at all"])
def test_a_damaged_layer_is_refused(data: bytes) -> None:
    store = MemoryStore()
    good = write_layer(ENTRIES, store).descriptor
    damaged = LayerBlob(io.BytesIO(data), LAYER_GZIP)
    if data:
        with pytest.raises(IntegrityError):
            first_difference(damaged, LayerBlob(store.open(good), good.media_type))
