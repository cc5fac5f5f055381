"""What is pushed arrives in a registry whole or not at all, and what arrived once is not sent again."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from tiffin.errors import DeniedError, IntegrityError, NotFoundError, TiffinError, UnavailableError
from tiffin.network import Patience
from tiffin.oci.copy import copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER_GZIP, Descriptor
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.progress import Advanced, Event, Started, listening
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.store import Nearby, RemoteStore, nowhere
from tiffin.store.remote.upload import SMALL

from .conftest import CONTENT

Held = tuple[Image, MemoryStore]
PATIENCE = Patience(pause=lambda _: None)
BIG = (CONTENT + CONTENT)[: SMALL + 1000]
BLOB = Descriptor.of(BIG, LAYER_GZIP)
SMALL_BLOB = Descriptor.of(b"small", LAYER_GZIP)
UPLOAD = "/blobs/uploads/"
SENDING = "/blobs/uploads/0"


def remote(
    registry: FaultyRegistry, environment: Mapping[str, str] = {"HOME": "/nonexistent"}, nearby: Nearby = nowhere
) -> RemoteStore:
    reference = Reference.parse(f"{registry.host}/team/iris")
    return RemoteStore.of(reference, environment, PATIENCE, writing=True, nearby=nearby)


def put(registry: FaultyRegistry, data: bytes = BIG) -> None:
    remote(registry).put(Descriptor.of(data, LAYER_GZIP), io.BytesIO(data))


def methods(registry: FaultyRegistry, part: str = UPLOAD) -> list[str]:
    return [asked.method for asked in registry.asked if part in asked.path]


def test_a_pushed_image_has_its_exact_bytes_and_a_second_push_sends_nothing(held: Held) -> None:
    image, store = held
    with faulty_registry() as registry:
        copy(store, remote(registry), image.descriptor)
        remote(registry).tag("1", image.descriptor)
        assert registry.manifests["1"] == (image.descriptor.media_type, image.manifest_bytes)
        assert registry.manifests[image.descriptor.digest] == registry.manifests["1"]
        assert read_image(remote(registry), remote(registry).resolve("1")) == image
        manifests = [asked for asked in registry.asked if asked.method == "PUT"]
        assert "/manifests/" in manifests[-2].path, "the manifest comes when all that it names is there"
        before = len(registry.asked)
        copy(store, remote(registry), image.descriptor)
        assert [asked.method for asked in registry.asked[before:] if asked.path != "/v2/"] == ["HEAD"]


def test_a_big_blob_is_one_stream_without_a_range_and_a_small_one_comes_with_the_end(registry: FaultyRegistry) -> None:
    put(registry)
    put(registry, b"small")
    assert methods(registry) == ["POST", "PATCH", "PUT", "POST", "PUT"]
    assert {asked.content_range for asked in registry.asked} == {""}
    assert registry.blobs[BLOB.digest] == BIG
    assert registry.blobs[SMALL_BLOB.digest] == b"small"


def test_nothing_is_a_blob_too(registry: FaultyRegistry) -> None:
    put(registry, b"")
    assert registry.blobs[Digest.of(b"")] == b""


def test_a_registry_that_takes_large_chunks_only_gets_no_smaller_one(registry: FaultyRegistry) -> None:
    registry.least = len(BIG)
    put(registry)
    assert methods(registry) == ["POST", "PUT"]


@pytest.mark.parametrize("arrived", [2, 100_000, len(BIG) - 1, len(BIG)])
def test_what_arrived_before_a_cut_is_not_sent_again(registry: FaultyRegistry, arrived: int) -> None:
    faults_of_next_upload(registry, Fault(take=arrived))
    put(registry)
    assert registry.blobs[BLOB.digest] == BIG
    assert registry.received == len(BIG)
    ranges = [asked.content_range for asked in registry.asked if asked.content_range]
    assert ranges == ([f"{arrived}-{len(BIG) - 1}"] if arrived < len(BIG) else [])


def faults_of_next_upload(registry: FaultyRegistry, *faults: Fault) -> None:
    """Let the upload begin, and these go wrong with what follows."""
    registry.faults[UPLOAD] = [Fault(), *faults]


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(take=0)],
        [Fault(take=1)],
        [Fault(hang_up=True)],
        [Fault(take=9000), Fault(forget=True)],
        [Fault(take=9000), Fault(headers=(("Range", "0-99999999"),))],
        [Fault(take=9000), Fault(headers=(("Range", "0-5000"),))],
        [Fault(take=9000), Fault(headers=(("Range", "bytes=0-8999"),))],
        [Fault(take=9000), Fault(headers=(("Range", ""),))],
        [Fault(take=9000), Fault(headers=(("Range", "nonsense"),))],
        [Fault(take=9000), Fault(headers=(("Location", ""),))],
        [Fault(take=9000), Fault(status=405)],
        [Fault(take=9000), Fault(status=503)],
        [Fault(take=9000), Fault(hang_up=True)],
        [Fault(keep=9000)],
        [Fault(status=416)],
        [Fault(forget=True)],
        [Fault(status=500)] * 3,
        [Fault(status=429, headers=(("Retry-After", "7"),))],
        [Fault(), Fault(hang_up=True)],
        [Fault(), Fault(status=502)],
        [Fault(), Fault(forget=True)],
        [Fault(take=9000), Fault(), Fault(take=9000), Fault(), Fault(take=9000), Fault(), Fault(take=9000), Fault()]
        * 3,
    ],
)
def test_a_blob_arrives_whatever_goes_wrong_in_between(registry: FaultyRegistry, faults: list[Fault]) -> None:
    if any(fault.status == 416 for fault in faults):
        faults = [Fault(take=9000), Fault(), *faults]  # a range is what a 416 answers
    faults_of_next_upload(registry, *faults)
    put(registry)
    assert registry.blobs[BLOB.digest] == BIG


def test_the_pause_that_a_busy_registry_asks_for_is_made(registry: FaultyRegistry) -> None:
    pauses: list[float] = []
    faults_of_next_upload(registry, Fault(status=429, headers=(("Retry-After", "7"),)))
    patience = Patience(pause=pauses.append)
    store = RemoteStore.of(Reference.parse(f"{registry.host}/team/iris"), {}, patience, writing=True)
    store.put(BLOB, io.BytesIO(BIG))
    assert pauses == [7]


def test_an_end_whose_answer_was_lost_is_found_to_be_there(registry: FaultyRegistry) -> None:
    registry.blobs[SMALL_BLOB.digest] = b"small"
    faults_of_next_upload(registry, Fault(take=5), Fault(forget=True))
    put(registry, b"small")
    assert methods(registry) == ["POST", "PUT", "GET"]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([Fault(status=500)] * 4, "500"),
        ([Fault(headers=(("Location", ""),))], "no address"),
        ([Fault(headers=(("Location", "ftp://elsewhere/x"),))], "no address"),
        ([Fault(status=404, body=b'{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}')], "NAME_UNKNOWN: no"),
        ([Fault(status=403)], "403"),
        ([Fault(), Fault(status=413)], "413"),
        ([Fault(), Fault(status=400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}')], "DIGEST_INVALID"),
        ([Fault(), Fault(keep=9000, headers=(("Range", f"0-{len(BIG) - 1}"),))], "DIGEST_INVALID: other bytes"),
        ([Fault(), Fault(), Fault(headers=(("Docker-Content-Digest", Digest.of(b"x")),))], "says that it took"),
        ([Fault(), *[Fault(take=0)] * 20], "uploads|could not"),
    ],
)  # fmt: skip
def test_a_push_that_cannot_be_says_what_and_where(registry: FaultyRegistry, faults: list[Fault], message: str) -> None:
    registry.faults[UPLOAD] = faults
    with pytest.raises(TiffinError, match=message) as caught:
        put(registry)
    assert registry.host.partition(":")[0] in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_status != 1


@pytest.mark.parametrize("size", [100, len(BIG)])
@pytest.mark.parametrize("change", ["short", "long", "other"])
def test_other_bytes_than_described_are_never_seen_there(registry: FaultyRegistry, size: int, change: str) -> None:
    data = BIG[:size]
    sent = {"short": data[:-1], "long": data + b"x", "other": data[:-1] + b"\0\0"[: 1 + (data[-1] == 0)]}[change]
    with pytest.raises(IntegrityError, match="sha256"):
        remote(registry).put(Descriptor.of(data, LAYER_GZIP), io.BytesIO(sent))
    assert Digest.of(data) not in registry.blobs
    assert registry.uploads == {}, "an upload that comes to nothing is called off"


def test_a_token_that_ends_during_an_upload_is_renewed(registry: FaultyRegistry, tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(registry.login.encode()).decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: entry}}))
    registry.scheme, registry.token_uses = "bearer", 1
    store = remote(registry, {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)})
    store.put(BLOB, io.BytesIO(BIG))
    store.put(SMALL_BLOB, io.BytesIO(b"small"))
    assert registry.blobs[BLOB.digest] == BIG
    assert len(registry.bought) == 5, "one for each request"
    assert set(registry.bought) == {"repository:team/iris:pull,push"}


def test_a_blob_of_another_repository_is_mounted(registry: FaultyRegistry) -> None:
    registry.scheme, registry.login = "bearer", ""
    registry.elsewhere, registry.stored = {"team/base": {BLOB.digest}}, {BLOB.digest: BIG}
    store = remote(registry, nearby=lambda _: ["team/base"])
    source = MemoryStore()
    source.put(BLOB, io.BytesIO(BIG))
    copy(source, store, BLOB)
    assert registry.blobs[BLOB.digest] == BIG
    assert registry.received == 0
    assert "repository:team/iris:pull,push repository:team/base:pull" in registry.bought


@pytest.mark.parametrize(
    "answer", [Fault(), Fault(status=401), Fault(status=403), Fault(status=405), Fault(status=404)]
)
def test_a_blob_that_may_not_be_mounted_is_sent(registry: FaultyRegistry, answer: Fault) -> None:
    registry.faults["mount="] = [answer]
    source = MemoryStore()
    source.put(BLOB, io.BytesIO(BIG))
    copy(source, remote(registry, nearby=lambda _: ["team/iris", "team/base"]), BLOB)
    assert registry.blobs[BLOB.digest] == BIG
    assert len(methods(registry)) == (3 if answer == Fault() else 4), "the upload that was begun instead is used"


def test_an_image_goes_from_registry_to_registry_through_cuts_on_both_sides(
    held: Held, registry: FaultyRegistry
) -> None:
    source = remote(registry)
    big = Descriptor.of(BIG, LAYER_GZIP)
    registry.add(BIG)
    with faulty_registry() as other:
        registry.faults[big.digest] = [Fault(), Fault(cut=70_000), Fault(cut=10), Fault()]
        faults_of_next_upload(other, Fault(take=3_000_000), Fault(), Fault(take=5), Fault())
        copy(source, remote(other), big)
        assert other.blobs[big.digest] == BIG
        copy(source, remote(other), held[0].descriptor)
        assert read_image(remote(other), held[0].descriptor) == held[0]


def test_tags_are_listed_over_pages(registry: FaultyRegistry, held: Held) -> None:
    for number in range(7):
        registry.add_manifest(held[0].manifest_bytes, held[0].descriptor.media_type, f"v{number}")
    registry.page = 3
    assert remote(registry).tags() == ["1", *(f"v{number}" for number in range(7))]
    with faulty_registry() as empty:
        assert remote(empty).tags() == []


def test_a_list_of_tags_that_never_ends_is_refused(registry: FaultyRegistry) -> None:
    again = Fault(headers=(("Link", "</v2/team/iris/tags/list?n=1000>; rel=next"),))
    registry.faults["tags/list"] = [again] * 3
    with pytest.raises(IntegrityError, match="on and on"):
        remote(registry).tags()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=403), DeniedError),
        (Fault(status=400, body=b'{"errors":[{"code":"MANIFEST_INVALID"}]}'), UnavailableError),
        (Fault(headers=(("Docker-Content-Digest", Digest.of(b"x")),)), IntegrityError),
    ],
)
def test_a_manifest_that_is_not_taken_is_an_error(
    registry: FaultyRegistry, held: Held, fault: Fault, error: type[TiffinError]
) -> None:
    registry.faults["manifests/2"] = [fault]
    with pytest.raises(error, match=r"team/iris"):
        remote(registry).tag("2", held[0].descriptor)


def test_a_blob_that_is_unknown_for_a_moment_is_no_error_and_for_good_it_is(
    registry: FaultyRegistry, held: Held
) -> None:
    unknown = Fault(status=400, body=b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')
    registry.faults["manifests/2"] = [unknown]
    remote(registry).tag("2", held[0].descriptor)
    assert registry.manifests["2"][1] == registry.manifests[held[0].descriptor.digest][1]
    registry.faults["manifests/3"] = [unknown] * 20
    with pytest.raises(UnavailableError, match="MANIFEST_BLOB_UNKNOWN"):
        remote(registry).tag("3", held[0].descriptor)


def test_what_is_sent_is_told_and_what_is_sent_again_is_taken_back(registry: FaultyRegistry) -> None:
    source = MemoryStore()
    source.put(BLOB, io.BytesIO(BIG))
    faults_of_next_upload(registry, Fault(take=9000))
    events: list[Event] = []
    with listening(events.append):
        copy(source, remote(registry), BLOB, verb="push")
    assert [event.total for event in events if isinstance(event, Started)] == [len(BIG)]
    assert sum(event.by for event in events if isinstance(event, Advanced)) == len(BIG)


FAULTS = st.one_of(
    st.builds(Fault, take=st.integers(0, len(BIG))),
    st.builds(Fault, keep=st.integers(0, len(BIG))),
    st.builds(Fault, status=st.sampled_from([404, 408, 416, 429, 500, 502, 503])),
    st.just(Fault(hang_up=True)),
    st.just(Fault(forget=True)),
    st.builds(lambda at: Fault(headers=(("Range", f"0-{at}"),)), st.integers(0, 2 * len(BIG))),
    st.just(Fault()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=12))
def test_whatever_goes_wrong_a_blob_is_whole_or_absent(faults: list[Fault]) -> None:
    with faulty_registry() as registry:
        registry.faults[UPLOAD] = list(faults)
        with contextlib.suppress(UnavailableError, NotFoundError):
            put(registry)
            assert BLOB.digest in registry.blobs
        assert registry.blobs in ({}, {BLOB.digest: BIG})
