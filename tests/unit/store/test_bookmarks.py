"""A push that was killed goes on within a blob, where the registry remembers; where it does not, it begins anew."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from faulty_registry import Fault, FaultyRegistry
from programs.waiting import until
from tiffin.errors import IntegrityError, UnavailableError
from tiffin.network import Patience
from tiffin.oci.documents import LAYER_GZIP, Descriptor
from tiffin.oci.reference import Reference
from tiffin.store.remote.address import Address
from tiffin.store.remote.bookmarks import Bookmarks
from tiffin.store.remote.store import RemoteStore
from tiffin.store.remote.upload import SMALL

from .conftest import CONTENT

BIG = (CONTENT + CONTENT)[: SMALL + 100_000]
BLOB = Descriptor.of(BIG, LAYER_GZIP)
UPLOAD = "/blobs/uploads/"
ENVIRONMENT: Mapping[str, str] = {"HOME": "/nonexistent"}


def store(registry: FaultyRegistry, folder: Path, attempts: int = 1) -> RemoteStore:
    patience = Patience(pause=lambda _: None, attempts=attempts)
    reference = Reference.parse(f"{registry.host}/team/iris")
    return RemoteStore.of(reference, ENVIRONMENT, patience, writing=True, bookmarks=Bookmarks(folder))


def give_up_after(registry: FaultyRegistry, folder: Path, arrived: int) -> None:
    registry.faults[UPLOAD] = [Fault(), Fault(take=arrived)]
    with pytest.raises(UnavailableError):
        store(registry, folder).put(BLOB, io.BytesIO(BIG))
    assert len(list(folder.iterdir())) == 1


def test_the_next_process_sends_what_the_registry_lacks(registry: FaultyRegistry, tmp_path: Path) -> None:
    give_up_after(registry, tmp_path, 3_000_000)
    store(registry, tmp_path).put(BLOB, io.BytesIO(BIG))
    assert registry.blobs[BLOB.digest] == BIG
    assert registry.received == len(BIG)
    assert list(tmp_path.iterdir()) == [], "what is there needs no bookmark"


def test_bookmarks_are_their_owners_alone(registry: FaultyRegistry, tmp_path: Path) -> None:
    give_up_after(registry, tmp_path, 100)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_what_arrived_whole_is_only_ended(registry: FaultyRegistry, tmp_path: Path) -> None:
    give_up_after(registry, tmp_path, len(BIG))
    store(registry, tmp_path).put(BLOB, io.BytesIO(BIG))
    assert registry.blobs[BLOB.digest] == BIG
    assert registry.received == len(BIG)


def test_a_registry_that_has_forgotten_the_upload_is_sent_the_blob_again(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    give_up_after(registry, tmp_path, 3_000_000)
    registry.uploads.clear()
    store(registry, tmp_path).put(BLOB, io.BytesIO(BIG))
    assert registry.blobs[BLOB.digest] == BIG
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_says_it_has_more_than_there_is_is_not_believed(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    give_up_after(registry, tmp_path, 3_000_000)
    registry.faults[UPLOAD] = [Fault(headers=(("Range", f"0-{len(BIG) + 5}"),))]
    store(registry, tmp_path).put(BLOB, io.BytesIO(BIG))
    assert registry.blobs[BLOB.digest] == BIG


def test_a_registry_that_has_other_bytes_of_it_is_sent_it_again(registry: FaultyRegistry, tmp_path: Path) -> None:
    give_up_after(registry, tmp_path, 3_000_000)
    for data in registry.uploads.values():
        data[7] ^= 1
    store(registry, tmp_path, attempts=2).put(BLOB, io.BytesIO(BIG))
    assert registry.blobs[BLOB.digest] == BIG


def test_other_bytes_than_described_are_not_ended_by_what_another_process_sent(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    give_up_after(registry, tmp_path, 3_000_000)
    with pytest.raises(IntegrityError):
        store(registry, tmp_path).put(BLOB, io.BytesIO(b"x" + BIG[1:]))
    assert registry.blobs.get(BLOB.digest) is None
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_held_is_not_used_by_another(tmp_path: Path) -> None:
    address = Address(host="example", repository="a/b")
    bookmarks = Bookmarks(tmp_path)
    with bookmarks.of(address, BLOB.digest) as first:
        first.keep("/v2/x")
        with bookmarks.of(address, BLOB.digest) as second:
            second.keep("/v2/y")
            assert second.location == ""
        with bookmarks.of(Address(host="example", repository="a/c"), BLOB.digest) as other:
            assert other.location == ""
    with bookmarks.of(address, BLOB.digest) as again:
        assert again.location == "/v2/x"


@pytest.mark.parametrize("damage", [b"", b'"/v2/', b"\xff", b"[]"])
def test_a_damaged_one_says_nothing(tmp_path: Path, damage: bytes) -> None:
    address = Address(host="example", repository="a/b")
    with Bookmarks(tmp_path).of(address, BLOB.digest) as first:
        first.keep("/v2/x")
    next(tmp_path.iterdir()).write_bytes(damage)
    with Bookmarks(tmp_path).of(address, BLOB.digest) as again:
        assert again.location == ""


def test_old_ones_are_swept(tmp_path: Path) -> None:
    with Bookmarks(tmp_path).of(Address(host="example", repository="a/b"), BLOB.digest) as mark:
        mark.keep("/v2/x")
    path = next(tmp_path.iterdir())
    assert Bookmarks(tmp_path).sweep() == 0
    os.utime(path, (0, 0))
    assert Bookmarks(tmp_path).sweep() == 1


PUSH = """
import io, sys
from pathlib import Path
from tiffin.oci.documents import Descriptor
from tiffin.oci.reference import Reference
from tiffin.store.remote.bookmarks import Bookmarks
from tiffin.store.remote.store import RemoteStore

data = open(sys.argv[2], "rb").read()
reference = Reference.parse(sys.argv[1])
store = RemoteStore.of(reference, {"HOME": "/nonexistent"}, writing=True, bookmarks=Bookmarks(Path(sys.argv[3])))
store.put(Descriptor.of(data, sys.argv[4]), io.BytesIO(data))
"""


def test_a_push_that_is_killed_sends_nothing_again_that_arrived(registry: FaultyRegistry, tmp_path: Path) -> None:
    data = os.urandom(64 << 20)
    (tmp_path / "data").write_bytes(data)
    blob, marks = Descriptor.of(data, LAYER_GZIP), tmp_path / "marks"
    name = f"{registry.host}/team/iris"
    argv = [sys.executable, "-c", PUSH, name, str(tmp_path / "data"), str(marks), LAYER_GZIP]
    registry.pace = 8 << 20  # bytes a second, so that there is something to kill
    pushing = subprocess.Popen(
        argv, env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"}
    )
    until(lambda: registry.received > 1 << 20, lambda: f"{registry.received} bytes received")
    pushing.send_signal(signal.SIGKILL)
    pushing.wait()
    registry.pace = 0
    until(lambda: any(registry.uploads.values()), lambda: "what was cut off is kept")
    arrived = registry.received
    store(registry, marks).put(blob, io.BytesIO(data))
    assert registry.blobs[blob.digest] == data
    assert 1 << 20 < arrived < len(data)
    assert registry.received == len(data)
