"""Rows of the fault matrix of registries that no other test has; and which test has which row.

| what goes wrong | test |
| --- | --- |
| token refused in the middle, 401 on and on | test_credentials: a_token_that_ended…, never_lets_in…; test_upload: a_token_that_ends_during_an_upload… |
| 403, 404 | test_remote: a_refusal_is_not_repeated, what_is_not_there…; test_upload: a_push_that_cannot_be… |
| 404, then a mirror | test_places: a_mirror_that_lacks_it… |
| 408, 429, 500, 502, 503, 504; Retry-After | test_remote: a_busy_registry…; here: a date; test_slow: bursts… |
| 416, 200 to a range, shifted range | test_remote: a_blob_that_ends_early…, a_registry_without_ranges…, a_range_that_begins_elsewhere… |
| reset before the head, after 0, 1, half, all bytes | test_remote: a_blob_that_is_cut_off…; test_upload: a_blob_arrives_whatever… |
| all of these in one range of several | test_ranges |
| truncated, longer, other size, other bytes | test_remote: a_blob_of_another_size…, a_blob_of_other_bytes…; here: longer without saying so |
| decompression bomb | layers/test_unpack: a_decompression_bomb… |
| a byte now and then, in head, document, blob, token; silence for ever | test_slow; here: silence |
| TLS cut | here |
| redirect elsewhere, without credentials; on and on | test_remote: blobs_are_fetched_from…, redirects_that_lead_nowhere_end |
| 202 without an address, a relative one | test_upload: a_push_that_cannot_be…; every upload |
| a lie about the digest of a manifest | test_remote: a_registry_that_lies…; test_upload: a_manifest_that_is_not_taken… |
| another media type, a manifest above 4 MiB | test_remote |
| an index in itself, ten thousand layers, layers from elsewhere, `data` in a descriptor | here |
| a tag that changes in between | here |
| an upload forgotten, acknowledged short | test_upload: a_blob_arrives_whatever…; test_bookmarks |
| two that push or pull the same | end_to_end/test_pulling |
| a client killed at any moment | faults; test_bookmarks; end_to_end/test_large_blobs |
| a full disk | end_to_end/test_pulling, end_to_end/test_full_disk |
| an archive without a blob, cut off, damaged | api/test_archives, contract/test_store |
| any schedule of these | test_remote, test_upload (Hypothesis) |

Pitfalls of the trade (packaging, 27 to 33): uploads as docker sends them, least chunks, addresses with a query and acknowledged
ranges: test_upload; no credentials to another host: test_remote; challenges, tokens, docker's and podman's files and
helpers: test_credentials, test_logins; an index and its platforms: test_remote, api/test_push; exact bytes: every test
that compares manifests; what a registry may collect: a push ends with a tag, api/test_push.
"""  # noqa: E501 - rows of a table

from __future__ import annotations

import email.utils
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from programs.registry import make_authority
from tiffin.errors import IntegrityError, TiffinError, UnavailableError
from tiffin.network import Patience
from tiffin.oci.copy import copy
from tiffin.oci.documents import INDEX, LAYER_GZIP, MANIFEST, Descriptor, ImageConfig, Index, RootFS, encode
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.store import RemoteStore

from .conftest import CONTENT

Held = tuple[Image, MemoryStore]
SILENCE = 0.3
MANY = 10_000
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


def remote(registry: FaultyRegistry, patience: Patience | None = None) -> RemoteStore:
    patience = patience or Patience(pause=lambda _: None, silence=SILENCE)
    return RemoteStore.of(Reference.parse(f"{registry.host}/team/iris"), {"HOME": "/nonexistent"}, patience)


def test_the_pause_may_be_told_by_a_date(registry: FaultyRegistry) -> None:
    pauses: list[float] = []
    date = email.utils.formatdate(time.time() + 40, usegmt=True)
    registry.faults["manifests/1"] = [Fault(status=429, headers=(("Retry-After", date),))]
    remote(registry, Patience(pause=pauses.append)).resolve("1")
    assert 30 < pauses[0] <= 40


def test_a_blob_that_goes_on_beyond_its_end_is_refused(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    more = registry.blobs[layer.digest] + CONTENT
    registry.faults[layer.digest] = [Fault(body=more, headers=(("Content-Length", ""), ("Connection", "close")))]
    source, store = remote(registry), LayoutStore(tmp_path)
    with pytest.raises(IntegrityError, match=layer.digest.hex):
        copy(source, store, source.resolve("1"))
    assert not store.exists(layer)


def test_a_registry_that_says_nothing_for_ever_is_given_up(registry: FaultyRegistry) -> None:
    registry.faults["manifests/1"] = [Fault(think=3 * SILENCE)] * 4
    with pytest.raises(UnavailableError, match="team/iris/manifests/1") as caught:
        remote(registry).resolve("1")
    assert caught.value.hint
    assert registry.faults["manifests/1"] == []


@pytest.fixture
def secure(held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyRegistry]:
    authority = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "own.pem", authority / "key.pem")
    with faulty_registry(context) as running:
        running.hold(*held, "1")
        yield running


@pytest.mark.program("openssl")
def test_a_blob_that_is_cut_off_under_tls_goes_on_where_it_was(
    secure: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    secure.faults[layer.digest] = [Fault(cut=1_500_000), Fault(hang_up=True), Fault(cut=10)]
    source, store = remote(secure), LayoutStore(tmp_path / "store")
    copy(source, store, source.resolve("1"))
    assert store.exists(layer)
    assert [asked.range for asked in secure.asked if layer.digest in asked.path][1:] != [""] * 3


def test_an_index_within_itself_is_followed_no_deeper_than_images_go(registry: FaultyRegistry, tmp_path: Path) -> None:
    found = Descriptor.of(b"{}", MANIFEST)
    for _ in range(100):
        data = encode(Index(manifests=[found]))
        found = registry.add_manifest(data, INDEX, "deep")
    source = remote(registry)
    with pytest.raises(IntegrityError, match="below"):
        copy(source, LayoutStore(tmp_path), source.resolve("deep"))


def test_an_image_of_ten_thousand_layers_is_read_and_one_that_lacks_some_is_refused(
    registry: FaultyRegistry, held: Held, tmp_path: Path
) -> None:
    layer = held[0].manifest.layers[0]
    diff_id = held[0].config.rootfs.diff_ids[0]
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[diff_id] * MANY))
    image = Image.make(config, [layer] * MANY, {})
    registry.add(image.config_bytes)
    registry.add_manifest(image.manifest_bytes, MANIFEST, "many")
    source, store = remote(registry), LayoutStore(tmp_path)
    copy(source, store, source.resolve("many"))
    assert len(read_image(store, image.descriptor).manifest.layers) == MANY
    assert len([asked for asked in registry.asked if layer.digest in asked.path]) == 1, (
        "one that is there is not asked for"
    )
    other = Image.make(config, [layer] * (MANY - 1), {})
    registry.add_manifest(other.manifest_bytes, MANIFEST, "fewer")
    with pytest.raises(IntegrityError, match="other diff IDs"):
        read_image(source, source.resolve("fewer"))


@pytest.mark.parametrize(
    "more",
    [
        {"mediaType": FOREIGN, "urls": ["http://169.254.169.254/latest", "file:///etc/passwd"]},
        {"data": "b3RoZXI=", "mediaType": LAYER_GZIP},
    ],
)
def test_a_layers_bytes_come_from_its_registry_whatever_else_its_descriptor_offers(
    registry: FaultyRegistry, held: Held, tmp_path: Path, more: dict[str, object]
) -> None:
    document = json.loads(held[0].manifest_bytes)
    document["layers"][0] |= more
    registry.add_manifest(json.dumps(document).encode(), MANIFEST, "odd")
    source, store = remote(registry), LayoutStore(tmp_path)
    copy(source, store, source.resolve("odd"))
    assert store.exists(held[0].manifest.layers[0])


def test_a_tag_that_changes_in_between_gives_one_image_or_the_other(
    registry: FaultyRegistry, held: Held, tmp_path: Path
) -> None:
    source, store = remote(registry), LayoutStore(tmp_path)
    found = source.resolve("1")
    other = Image.wrap(held[0].config_bytes, held[0].config, held[0].manifest.layers, {"another": "one"})
    registry.add_manifest(other.manifest_bytes, MANIFEST, "1")
    copy(source, store, found)
    assert read_image(store, found) == held[0]


def test_every_error_is_one_of_ours_and_says_where(registry: FaultyRegistry) -> None:
    for status in (
        400,
        401,
        403,
        404,
        405,
        406,
        409,
        410,
        412,
        413,
        414,
        416,
        418,
        421,
        426,
        451,
        501,
        505,
        507,
        511,
        599,
    ):
        registry.faults["manifests/1"] = [Fault(status=status)] * 4
        with pytest.raises(TiffinError) as caught:
            remote(registry).resolve("1")
        assert registry.host in caught.value.message, status
        assert caught.value.hint, status
