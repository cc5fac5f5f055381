"""An image arrives from a registry whole or not at all, whatever goes wrong on the way."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from tiffin.errors import DeniedError, IntegrityError, NotFoundError, TiffinError, UnavailableError, UnsupportedError
from tiffin.network import Patience
from tiffin.oci.copy import copy
from tiffin.oci.digest import CHUNK
from tiffin.oci.documents import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX,
    LAYER_GZIP,
    MANIFEST,
    Descriptor,
    Index,
    encode,
)
from tiffin.oci.image import DOCUMENT_LIMIT, Image, read_image
from tiffin.oci.platform import Platform
from tiffin.oci.reference import Reference
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.store import RemoteStore

from .conftest import CONTENT

Held = tuple[Image, MemoryStore]
PATIENCE = Patience(pause=lambda _: None)


def remote(registry: FaultyRegistry, patience: Patience = PATIENCE) -> RemoteStore:
    return RemoteStore.of(Reference.parse(f"{registry.host}/team/iris"), {"HOME": "/nonexistent"}, patience)


def pull(registry: FaultyRegistry, target: Path | LayoutStore, name: str = "1") -> tuple[LayoutStore, Descriptor]:
    store, source = target if isinstance(target, LayoutStore) else LayoutStore(target), remote(registry)
    found = source.resolve(name)
    copy(source, store, found)
    return store, found


def test_an_image_arrives_byte_for_byte_and_is_not_fetched_twice(
    registry: FaultyRegistry, held: Held, tmp_path: Path
) -> None:
    store, found = pull(registry, tmp_path)
    image = read_image(store, found)
    assert (image.manifest_bytes, image.config_bytes) == (held[0].manifest_bytes, held[0].config_bytes)
    assert all(store.exists(part) for part in [image.manifest.config, *image.manifest.layers])
    before = len(registry.asked)
    pull(registry, store)
    assert [asked.path for asked in registry.asked[before:]] == ["/v2/", "/v2/team/iris/manifests/1"]


def test_a_digest_is_resolved_as_a_tag_is_and_must_be_the_manifests(registry: FaultyRegistry, held: Held) -> None:
    digest = held[0].descriptor.digest
    assert remote(registry).resolve(digest).digest == digest
    registry.manifests[digest] = (MANIFEST, b"{}")
    with pytest.raises(IntegrityError, match="was expected") as caught:
        remote(registry).resolve(digest)
    assert registry.host in str(caught.value)


def test_what_is_not_there_is_named_with_its_registry(registry: FaultyRegistry) -> None:
    other = Descriptor.of(b"other", LAYER_GZIP)
    source = remote(registry)
    with pytest.raises(NotFoundError, match=r"team/iris/manifests/2: 404 Not Found \(MANIFEST_UNKNOWN: not here\)"):
        source.resolve("2")
    with pytest.raises(NotFoundError, match=other.digest.hex):
        source.open(other)
    assert not source.exists(other)


def test_existence_is_told_without_fetching(registry: FaultyRegistry, held: Held, layer: Descriptor) -> None:
    source = remote(registry)
    assert source.exists(held[0].descriptor)
    assert source.exists(layer)
    assert not source.exists(Descriptor(media_type=LAYER_GZIP, digest=layer.digest, size=layer.size + 1))
    assert {asked.method for asked in registry.asked if asked.path != "/v2/"} == {"HEAD"}


def test_what_a_tag_means_is_told_without_fetching(registry: FaultyRegistry, held: Held) -> None:
    assert remote(registry).digest_of("1") == held[0].descriptor.digest
    assert {asked.method for asked in registry.asked if asked.path != "/v2/"} == {"HEAD"}
    with pytest.raises(NotFoundError, match="team/iris"):
        remote(registry).digest_of("2")


@pytest.mark.parametrize("cuts", [[0], [1], [1 << 20], [1_500_000, 700_000, 0], [3_000_000]])
def test_a_blob_that_is_cut_off_goes_on_where_it_was(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path, cuts: list[int]
) -> None:
    registry.faults[layer.digest] = [Fault(cut=cut) for cut in cuts]
    store, _ = pull(registry, tmp_path)
    assert store.exists(layer)
    asked = [asked.range for asked in registry.asked if layer.digest in asked.path]
    assert len(asked) == len(cuts) + 1
    begins = [int(text.removeprefix("bytes=").removesuffix("-") or 0) for text in asked]
    lost = [begin + cut - after for begin, cut, after in zip(begins, cuts, begins[1:], strict=False)]
    assert all(0 <= size < CHUNK for size in lost), "no more than a chunk comes twice"


def test_a_registry_without_ranges_is_read_again_from_the_start(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    registry.faults[layer.digest] = [Fault(cut=2_000_000), Fault(ignore_range=True)]
    store, _ = pull(registry, tmp_path)
    assert store.exists(layer)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(body=CONTENT[:100]), "100 bytes, and should have"),
        (Fault(body=CONTENT + CONTENT), "bytes, and should have"),
        (Fault(body=b"", headers=(("Content-Length", "0"),)), "0 bytes, and should have"),
    ],
)
def test_a_blob_of_another_size_is_refused_before_it_is_read(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path, fault: Fault, message: str
) -> None:
    registry.faults[layer.digest] = [fault]
    with pytest.raises(IntegrityError, match=message) as caught:
        pull(registry, tmp_path)
    assert f"team/iris@{layer.digest}" in str(caught.value)
    assert not LayoutStore(tmp_path).exists(layer)


def test_a_blob_of_other_bytes_is_refused_and_leaves_nothing(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    data = bytearray(registry.blobs[layer.digest])
    data[len(data) // 2] ^= 1
    registry.blobs[layer.digest] = bytes(data)
    with pytest.raises(IntegrityError, match=layer.digest.hex):
        pull(registry, tmp_path)
    assert not LayoutStore(tmp_path).exists(layer)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_range_that_begins_elsewhere_is_refused(registry: FaultyRegistry, layer: Descriptor, tmp_path: Path) -> None:
    registry.faults[layer.digest] = [Fault(cut=2_000_000), Fault(shift=5)]
    with pytest.raises(IntegrityError, match="was asked for byte"):
        pull(registry, tmp_path)


def test_a_blob_that_ends_early_without_saying_so_is_not_taken(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    short = Fault(body=registry.blobs[layer.digest][:-1], headers=(("Content-Length", ""), ("Connection", "close")))
    registry.blobs[layer.digest] = registry.blobs[layer.digest][:-1]
    registry.faults[layer.digest] = [short]
    with pytest.raises(IntegrityError, match="has no more than"):
        pull(registry, tmp_path)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("what", ["manifests/1", "blobs/"])
def test_a_busy_registry_is_asked_again(registry: FaultyRegistry, tmp_path: Path, status: int, what: str) -> None:
    registry.faults[what] = [Fault(status=status), Fault(status=status), Fault(hang_up=True)]
    store, found = pull(registry, tmp_path)
    assert store.exists(found)


def test_a_busy_registry_says_how_long_it_wants_to_be_left_alone(registry: FaultyRegistry) -> None:
    waited: list[float] = []
    registry.faults["manifests/1"] = [Fault(status=429, headers=(("Retry-After", "7"),)), Fault(status=503)]
    remote(registry, Patience(pause=waited.append)).resolve("1")
    assert waited == [7.0, 1.0]


def test_a_registry_that_stays_busy_is_given_up(registry: FaultyRegistry) -> None:
    registry.faults["manifests/1"] = [Fault(status=503)] * 10
    with pytest.raises(UnavailableError, match="503") as caught:
        remote(registry).resolve("1")
    assert registry.host in str(caught.value)
    assert len(registry.faults["manifests/1"]) == 10 - PATIENCE.attempts


def test_a_refusal_is_not_repeated(registry: FaultyRegistry) -> None:
    registry.faults["manifests/1"] = [Fault(status=403)] * 2
    with pytest.raises(DeniedError) as caught:
        remote(registry).resolve("1")
    assert "login" in (caught.value.hint or "")
    assert len(registry.faults["manifests/1"]) == 1


def test_a_manifest_of_more_than_four_mebibytes_is_refused(registry: FaultyRegistry) -> None:
    registry.add_manifest(b" " * (DOCUMENT_LIMIT + 1), MANIFEST, "big")
    with pytest.raises(IntegrityError, match=f"more than {DOCUMENT_LIMIT}"):
        remote(registry).resolve("big")


@pytest.mark.parametrize("media_type", ["application/vnd.docker.distribution.manifest.v1+prettyjws", "text/html", ""])
def test_what_is_no_image_is_refused(registry: FaultyRegistry, media_type: str) -> None:
    registry.add_manifest(b"{}", media_type, "odd")
    with pytest.raises(UnsupportedError, match="is no image"):
        remote(registry).resolve("odd")


def test_a_registry_that_lies_about_the_digest_of_a_tag_is_refused(registry: FaultyRegistry) -> None:
    registry.faults["manifests/1"] = [Fault(headers=(("Docker-Content-Digest", "sha256:" + "0" * 64),))]
    with pytest.raises(IntegrityError, match="was expected"):
        remote(registry).resolve("1")


@pytest.mark.parametrize("media_type", [INDEX, DOCKER_INDEX])
def test_an_index_gives_the_image_of_the_platform(registry: FaultyRegistry, held: Held, media_type: str) -> None:
    def entry(platform: Platform, digest: Descriptor = held[0].descriptor) -> Descriptor:
        return Descriptor(media_type=digest.media_type, digest=digest.digest, size=digest.size, platform=platform)

    unknown = entry(Platform(os="unknown", architecture="unknown"), Descriptor.of(b"attestation", MANIFEST))
    arm = entry(Platform(os="linux", architecture="arm64", variant="v8"))
    data = encode(Index(media_type=media_type, manifests=[unknown, arm]))
    found = remote(registry)
    registry.add_manifest(data, media_type, "many")
    image = read_image(found, found.resolve("many"), Platform(os="linux", architecture="arm64"))
    assert image.descriptor.digest == held[0].descriptor.digest
    with pytest.raises(UnsupportedError, match="no image for linux/amd64"):
        read_image(found, found.resolve("many"), Platform(os="linux", architecture="amd64"))


def test_an_image_in_dockers_own_words_is_read(registry: FaultyRegistry, held: Held, tmp_path: Path) -> None:
    text = held[0].manifest_bytes.decode().replace(MANIFEST, DOCKER_MANIFEST)
    registry.add_manifest(text.encode(), DOCKER_MANIFEST, "docker")
    store, found = pull(registry, tmp_path, "docker")
    assert read_image(store, found).manifest_bytes == text.encode()


def test_blobs_are_fetched_from_where_the_registry_sends_us(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme = "basic"
    with faulty_registry() as storage:
        storage.blobs = dict(registry.blobs)
        registry.storage = storage.host
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {registry.host: {"username": "me", "password": "s3cret"}}}))
        source = RemoteStore.of(
            Reference.parse(f"{registry.host}/team/iris"), {"REGISTRY_AUTH_FILE": str(auth)}, PATIENCE
        )
        store = LayoutStore(tmp_path / "store")
        copy(source, store, source.resolve("1"))
        assert len(storage.asked) == 2
        assert {asked.authorization for asked in storage.asked} == {""}
    assert any(asked.authorization for asked in registry.asked)


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/", "/v2/team/iris/manifests/1"])
def test_redirects_that_lead_nowhere_end(registry: FaultyRegistry, location: str) -> None:
    registry.faults["manifests/1"] = [Fault(status=302, headers=(("Location", location),))] * 20
    with pytest.raises(UnavailableError, match="sends us"):
        remote(registry).resolve("1")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 32))
def test_any_schedule_of_faults_ends_in_the_image_or_in_an_error_that_says_where(
    held: Held, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a schedule to be had again, not a secret
    faults = [
        *(Fault(status=status) for status in (401, 403, 404, 416, 429, 500, 503)),
        *(Fault(cut=chance.randrange(3 << 20)) for _ in range(6)),
        Fault(hang_up=True),
        Fault(body=b"other"),
        Fault(status=302, headers=(("Location", "/elsewhere"),)),
    ]
    store = LayoutStore(tmp_path / str(seed))
    with faulty_registry() as registry:
        registry.hold(*held, "1")
        registry.faults = {"v2/team": [chance.choice([Fault(), *faults]) for _ in range(chance.randrange(8))]}
        try:
            _, found = pull(registry, store)
        except TiffinError as error:
            assert registry.host in str(error) or "sha256:" in str(error)  # noqa: PT017 - either end is right
        else:
            assert read_image(store, found) == held[0]
    for path in (store.root / "blobs").glob("sha256/*"):
        assert Descriptor.of(path.read_bytes(), "").digest.hex == path.name
