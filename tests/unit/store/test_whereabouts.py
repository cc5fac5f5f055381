"""What was pushed where is remembered, for mounts."""

from __future__ import annotations

from pathlib import Path

from tiffin.oci.digest import Digest
from tiffin.store.records import Records
from tiffin.store.remote.address import Address
from tiffin.store.remote.whereabouts import BLOBS, REPOSITORIES, Whereabouts

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


def test_the_repositories_that_have_a_blob_are_found_the_latest_first(tmp_path: Path) -> None:
    places = Whereabouts(Records(tmp_path))
    places.add(Address(host="here", repository="a"), [ONE])
    places.add(Address(host="here", repository="b"), [ONE, TWO])
    places.add(Address(host="there", repository="c"), [TWO])
    find = places.nearby("here")
    assert (find(ONE), find(TWO), find(Digest.of(b"3"))) == (["b", "a"], ["b"], [])
    assert places.nearby("nowhere")(ONE) == []


def test_only_so_much_is_remembered(tmp_path: Path) -> None:
    places = Whereabouts(Records(tmp_path))
    for number in range(REPOSITORIES + 3):
        places.add(Address(host="here", repository=f"r{number}"), [ONE])
    assert len(places.nearby("here")(ONE)) == REPOSITORIES
    places.add(Address(host="here", repository="r9"), [Digest.of(str(n).encode()) for n in range(10, 10 + BLOBS)])
    assert "r9" not in places.nearby("here")(ONE)


def test_damaged_records_are_forgotten(tmp_path: Path) -> None:
    places = Whereabouts(Records(tmp_path))
    places.add(Address(host="here", repository="a"), [ONE])
    for path in tmp_path.glob("[0-9a-f]*"):
        path.write_text("{")
    assert places.nearby("here")(ONE) == []
