"""A large blob comes in ranges, side by side; by one stream where they do not work out; and whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from tiffin.errors import DeniedError, FullError, IntegrityError, NotFoundError, TiffinError, UnavailableError
from tiffin.network import Patience
from tiffin.oci.copy import copy
from tiffin.oci.digest import CHUNK
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.progress import Event, Noted, listening
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.ranges import Lanes
from tiffin.store.remote.store import RemoteStore

PIECE = CHUNK
DATA = os.urandom(6 * PIECE + 777)
BLOB = Descriptor.of(DATA, LAYER)
THIRD = f"{BLOB.digest} bytes={2 * PIECE}-"
"""Faults in the way of the third range alone."""


@pytest.fixture
def blobs(registry: FaultyRegistry) -> FaultyRegistry:
    registry.add(DATA)
    return registry


def remote(registry: FaultyRegistry, environment: dict[str, str] | None = None) -> RemoteStore:
    reference = Reference.parse(f"{registry.host}/team/iris")
    store = RemoteStore.of(reference, environment or {"HOME": "/nonexistent"}, Patience(pause=lambda _: None))
    store.lanes = Lanes(above=2 * PIECE, piece=PIECE, fast=math.inf)
    return store


def local(folder: Path) -> LayoutStore:
    return LayoutStore(folder, large=2 * PIECE)


def pull(registry: FaultyRegistry, store: LayoutStore) -> list[str]:
    """Bring the blob; returns what people are told meanwhile."""
    heard: list[Event] = []
    with listening(heard.append):
        copy(remote(registry), store, BLOB)
    assert store.path(BLOB).read_bytes() == DATA
    return [event.message for event in heard if isinstance(event, Noted)]


def ranges(registry: FaultyRegistry) -> list[str]:
    return [asked.range for asked in registry.asked if BLOB.digest in asked.path]


def begun(store: LayoutStore) -> list[int]:
    return [kept.size for kept in store.beginnings.all()]


def test_ranges_come_side_by_side_and_every_byte_is_asked_for_once(blobs: FaultyRegistry, tmp_path: Path) -> None:
    together = threading.Barrier(3)
    for number in (1, 2, 3):  # the first comes by the stream that it begins as
        blobs.faults[f"bytes={number * PIECE}-"] = [Fault(meets=together)]
    store = local(tmp_path)
    assert pull(blobs, store) == []
    assert not together.broken
    bounds = [(begin, min(begin + PIECE, len(DATA)) - 1) for begin in range(PIECE, len(DATA), PIECE)]
    assert ranges(blobs)[0] == f"bytes=0-{len(DATA) - 1}"
    assert sorted(ranges(blobs)[1:]) == sorted(f"bytes={begin}-{last}" for begin, last in bounds)
    assert begun(store) == []


def test_a_connection_that_is_fast_is_left_alone(blobs: FaultyRegistry, tmp_path: Path) -> None:
    source, store = remote(blobs), local(tmp_path)
    source.lanes = Lanes(above=2 * PIECE, piece=PIECE, fast=0)
    copy(source, store, BLOB)
    assert store.path(BLOB).read_bytes() == DATA
    assert ranges(blobs) == [f"bytes=0-{len(DATA) - 1}"]


def test_a_blob_that_is_not_large_is_asked_for_whole(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    source = remote(registry)
    source.lanes = Lanes()
    copy(source, local(tmp_path), layer)
    assert [asked.range for asked in registry.asked if layer.digest in asked.path] == [""]


def test_a_registry_without_ranges_sends_all_of_it_at_once(blobs: FaultyRegistry, tmp_path: Path) -> None:
    blobs.ranges = False
    assert pull(blobs, local(tmp_path)) == []
    assert len(ranges(blobs)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=416),
        Fault(status=400),
        Fault(status=501),
        Fault(shift=5),
        Fault(headers=(("Content-Range", ""),)),
        Fault(headers=(("Content-Range", f"bytes 0-{PIECE - 1}/5"),)),
        Fault(headers=(("Content-Range", f"bytes 0-{len(DATA)}/{len(DATA)}"),)),
    ],
)
def test_a_registry_whose_first_range_is_none_is_asked_for_all(
    blobs: FaultyRegistry, tmp_path: Path, fault: Fault
) -> None:
    blobs.faults[BLOB.digest] = [fault]
    pull(blobs, local(tmp_path))
    assert ranges(blobs)[1:] == [""]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers=(("Retry-After", "3"),)),
        Fault(status=500),
        Fault(status=503),
        Fault(hang_up=True),
        Fault(cut=0),
        Fault(cut=PIECE // 2),
    ],
)
def test_a_range_that_breaks_off_goes_on_by_itself(blobs: FaultyRegistry, tmp_path: Path, fault: Fault) -> None:
    blobs.faults[THIRD] = [fault] * 3
    assert pull(blobs, local(tmp_path)) == []
    assert all(not asked.endswith("-") for asked in ranges(blobs)), "only ranges are asked for"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(ignore_range=True),
        Fault(shift=5),
        Fault(status=416),
        Fault(status=403),
        Fault(status=400),
        Fault(headers=(("Content-Range", "bytes 0-9/10"),)),
        Fault(headers=(("Content-Range", f"bytes {2 * PIECE}-{3 * PIECE - 1}/{len(DATA) + 1}"),)),
        Fault(headers=(("Content-Range", f"bytes {2 * PIECE}-{2 * PIECE - 1}/{len(DATA)}"),)),
    ],
)
def test_what_a_bad_range_and_all_after_it_hold_comes_as_one_stream(
    blobs: FaultyRegistry, tmp_path: Path, fault: Fault
) -> None:
    blobs.faults[THIRD] = [fault]
    (said,) = pull(blobs, local(tmp_path))
    assert "by one connection from here on" in said
    assert BLOB.digest in said
    assert [asked for asked in ranges(blobs) if asked.endswith("-")] == [f"bytes={2 * PIECE}-"], "nothing before it"


def test_a_range_that_stays_busy_is_left_to_one_stream(blobs: FaultyRegistry, tmp_path: Path) -> None:
    """As of a registry that lets nobody have several connections."""
    blobs.faults[THIRD] = [Fault(status=429)] * 5
    (said,) = pull(blobs, local(tmp_path))
    assert "429" in said
    assert f"bytes={2 * PIECE}-" in ranges(blobs)


def test_a_server_that_gives_less_of_a_range_is_asked_for_the_rest(blobs: FaultyRegistry, tmp_path: Path) -> None:
    blobs.longest_range = PIECE // 3
    assert pull(blobs, local(tmp_path)) == []
    assert len(ranges(blobs)) > 3 * len(DATA) // PIECE


@pytest.mark.parametrize("data", [DATA + b"more", DATA[:-1], DATA[: 5 * PIECE]])
def test_a_registry_that_lies_about_the_size_is_refused_with_both_sizes(
    blobs: FaultyRegistry, tmp_path: Path, data: bytes
) -> None:
    blobs.blobs[BLOB.digest] = data
    store = local(tmp_path)
    with pytest.raises(IntegrityError, match=f"has {len(data)} bytes, and should have {len(DATA)}") as caught:
        copy(remote(blobs), store, BLOB)
    assert f"team/iris@{BLOB.digest}" in caught.value.message
    assert not store.exists(BLOB)
    assert begun(store) == []


def test_other_bytes_are_refused_and_leave_nothing(blobs: FaultyRegistry, tmp_path: Path) -> None:
    blobs.blobs[BLOB.digest] = DATA[:-1] + bytes([DATA[-1] ^ 1])
    store = local(tmp_path)
    with pytest.raises(IntegrityError, match=BLOB.digest.hex):
        copy(remote(blobs), store, BLOB)
    assert not store.exists(BLOB)
    assert begun(store) == []


def test_a_blob_that_is_not_there_is_not_found(registry: FaultyRegistry) -> None:
    with pytest.raises(NotFoundError, match=BLOB.digest.hex):
        remote(registry).open(BLOB)


def test_a_registry_that_goes_away_is_named_and_what_came_is_gone_on_with(
    blobs: FaultyRegistry, tmp_path: Path
) -> None:
    blobs.faults[f"bytes={2 * PIECE}-"] = [Fault(status=503)] * 8
    store = local(tmp_path)
    with pytest.raises(UnavailableError, match="503") as caught:
        copy(remote(blobs), store, BLOB)
    assert blobs.host in caught.value.message
    assert begun(store) == [2 * PIECE]
    assert not store.exists(BLOB)
    before = len(blobs.asked)
    pull(blobs, store)
    again = [asked.range for asked in blobs.asked[before:] if BLOB.digest in asked.path]
    assert again[0] == f"bytes=0-{len(DATA) - 1}", "whose content is not read"
    assert min(int(text[6:].partition("-")[0]) for text in again[1:]) == 2 * PIECE
    assert begun(store) == []


def test_storage_elsewhere_is_sent_no_credentials_and_every_range_has_an_address_of_its_own(
    blobs: FaultyRegistry, tmp_path: Path
) -> None:
    blobs.scheme = "basic"
    auth = tmp_path / "auth.json"
    auth.write_text(json.dumps({"auths": {blobs.host: {"username": "me", "password": "s3cret"}}}))
    store = local(tmp_path / "store")
    with faulty_registry() as storage:
        storage.add(DATA)
        blobs.storage = storage.host
        copy(remote(blobs, {"REGISTRY_AUTH_FILE": str(auth)}), store, BLOB)
        assert {asked.authorization for asked in storage.asked} == {""}
        assert len({asked.path for asked in storage.asked}) == len(storage.asked) == -(-len(DATA) // PIECE)
    assert store.path(BLOB).read_bytes() == DATA
    assert any(asked.authorization for asked in blobs.asked)
    assert len({asked.client for asked in blobs.asked}) <= 6, "who is sent on asks by the same connection again"


def test_an_address_of_storage_that_ended_is_asked_for_anew(blobs: FaultyRegistry, tmp_path: Path) -> None:
    with faulty_registry() as storage:
        storage.add(DATA)
        blobs.storage = storage.host
        storage.faults[THIRD.partition(" ")[2]] = [Fault(status=403)]
        (said,) = pull(blobs, local(tmp_path))
        assert "403" in said
        assert f"bytes={2 * PIECE}-" in [asked.range for asked in storage.asked]


def test_storage_that_refuses_on_and_on_is_an_error_that_names_it(blobs: FaultyRegistry, tmp_path: Path) -> None:
    with faulty_registry() as storage:
        storage.add(DATA)
        blobs.storage = storage.host
        storage.faults[f"bytes={2 * PIECE}-"] = [Fault(status=403)] * 20
        store = local(tmp_path)
        with pytest.raises(DeniedError, match=storage.host):
            copy(remote(blobs), store, BLOB)
    assert begun(store) == [2 * PIECE], "a new login may go on with it"


def test_a_token_that_ends_between_ranges_is_bought_anew(blobs: FaultyRegistry, tmp_path: Path) -> None:
    blobs.scheme, blobs.login, blobs.token_uses = "bearer", "", 6
    assert pull(blobs, local(tmp_path)) == []
    assert len(blobs.bought) > 1


def test_what_is_read_can_be_read_again_from_any_byte(blobs: FaultyRegistry) -> None:
    with remote(blobs).open(BLOB) as stream:
        assert stream.read(100) == DATA[:100]
        for begin in (4 * PIECE + 1, 50, len(DATA) - 3, len(DATA), 0):
            assert stream.seek(begin) == begin
            assert stream.read(PIECE + 9) == DATA[begin : begin + PIECE + 9]
        assert stream.tell() == PIECE + 9


def test_several_large_blobs_have_no_more_connections_than_are_spare(registry: FaultyRegistry, tmp_path: Path) -> None:
    many = [os.urandom(4 * PIECE) for _ in range(4)]
    layers = [Descriptor.of(data, LAYER) for data in many]
    image = Image.make(
        ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.digest for layer in layers])),
        layers,
        {},
    )
    held = MemoryStore()
    for layer, data in zip(layers, many, strict=True):
        held.put(layer, io.BytesIO(data))
    registry.hold(image, held, "many")
    source, store = remote(registry), local(tmp_path)
    copy(source, store, source.resolve("many"))
    assert all(store.exists(layer) for layer in layers)
    assert registry.most_at_once <= 8
    assert all(source.lanes.spare.acquire(blocking=False) for _ in range(4)), "every spare one was given back"


def test_a_stream_that_is_closed_early_gives_its_connections_back(blobs: FaultyRegistry) -> None:
    source = remote(blobs)
    with source.open(BLOB) as stream:
        stream.read(2 * PIECE)
    assert all(source.lanes.spare.acquire(blocking=False) for _ in range(4))


def test_a_beginning_of_other_bytes_costs_time_and_nothing_else(blobs: FaultyRegistry, tmp_path: Path) -> None:
    """As a machine leaves that lost its power before the disk had what was written."""
    store = local(tmp_path)
    (tmp_path / "begun").mkdir()
    for size in (PIECE, len(DATA), len(DATA) + 1):
        (tmp_path / "begun" / BLOB.digest.hex).write_bytes(bytes(size))
        pull(blobs, store)
        assert begun(store) == []
        store.path(BLOB).unlink()


def test_two_that_bring_one_blob_both_end_with_it(blobs: FaultyRegistry, tmp_path: Path) -> None:
    store = local(tmp_path)
    with store.beginnings.of(BLOB.digest) as other:
        assert other
        other[0].write(DATA[:PIECE])
        pull(blobs, store)
    assert begun(store) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_disk_that_is_full_keeps_no_beginning(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(errno.ENOSPC, "no space")
            return super().read(size)

    store = local(tmp_path)
    with pytest.raises(FullError):
        store.put(BLOB, Full(DATA))
    assert begun(store) == []


def test_beginnings_are_swept_when_nobody_is_expected_to_go_on(tmp_path: Path) -> None:
    store = local(tmp_path)
    with pytest.raises(UnavailableError):
        store.put(BLOB, _Breaking(DATA))
    assert store.sweep() == 0
    path = tmp_path / "begun" / BLOB.digest.hex
    os.utime(path, (0, 0))
    with path.open("rb"):
        assert store.sweep() == 1
    assert begun(store) == []


class _Breaking(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > PIECE:
            raise UnavailableError("the network went away")
        return super().read(size)


FAULTS = [
    *(Fault(status=status) for status in (401, 403, 404, 416, 429, 500, 503)),
    *(Fault(cut=cut) for cut in (0, 1, PIECE // 2, PIECE - 1, 3 * PIECE)),
    Fault(hang_up=True),
    Fault(shift=3),
    Fault(ignore_range=True),
    Fault(body=b"other"),
    Fault(body=DATA + DATA),
    Fault(status=302, headers=(("Location", "/elsewhere"),)),
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([Fault(), Fault(), *FAULTS]), max_size=24))
def test_any_schedule_of_faults_ends_in_the_blob_or_in_an_error_and_the_next_pull_goes_on(
    tmp_path: Path, faults: list[Fault]
) -> None:
    store = local(tmp_path)
    store.path(BLOB).unlink(missing_ok=True)
    with faulty_registry() as registry:
        registry.add(DATA)
        registry.faults = {BLOB.digest: list(faults)}
        try:
            copy(remote(registry), store, BLOB)
        except TiffinError as error:
            assert registry.host in str(error) or "sha256:" in str(error)  # noqa: PT017 - either end is right
            assert not store.exists(BLOB)
        registry.faults = {}
        pull(registry, store)
    assert begun(store) == []
