"""What lies beside an image is found whatever state it is in, and not without end."""

from __future__ import annotations

import msgspec
import pytest

from tiffin.errors import IntegrityError
from tiffin.oci.artifact import attach
from tiffin.oci.documents import Descriptor, encode
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore
from tiffin.trust.beside import MOST, bundles, put_signed
from tiffin.trust.bundle import BUNDLE
from tiffin.trust.keys import PrivateKey
from tiffin.trust.statement import SIGNATURE, write_statement
from unit.trust.conftest import make_image


def test_only_bundles_are_found(store: LayoutStore, image: Descriptor, key: PrivateKey) -> None:
    put = put_signed(store, image, write_statement(image.digest, SIGNATURE), key)
    attach(store, image, "application/other", b"{}", {})
    put_signed(store, make_image(store, "other"), write_statement(image.digest, SIGNATURE), key)
    (found,) = bundles(store, image)
    assert (found.manifest, found.trouble) == (put.digest, "")


def test_the_manifest_is_cosigns(store: LayoutStore, image: Descriptor, key: PrivateKey) -> None:
    put = put_signed(store, image, write_statement(image.digest, SIGNATURE), key)
    manifest = msgspec.json.decode(store.path(put).read_bytes())
    assert manifest["artifactType"] == manifest["layers"][0]["mediaType"] == BUNDLE
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert manifest["annotations"] == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    }


def test_a_bundle_that_is_not_there_is_found_with_the_reason(
    store: LayoutStore, image: Descriptor, key: PrivateKey
) -> None:
    put = put_signed(store, image, write_statement(image.digest, SIGNATURE), key)
    layer = msgspec.json.decode(store.path(put).read_bytes())["layers"][0]["digest"]
    (store.root / "blobs" / layer.replace(":", "/")).unlink()
    (found,) = bundles(store, image)
    assert "has no blob" in found.trouble


def test_a_manifest_with_several_layers_is_no_bundles(image: Descriptor) -> None:
    memory = MemoryStore()
    one = attach(memory, image, BUNDLE, b"{}", {})
    with memory.open(one) as stream:
        manifest = msgspec.json.decode(stream.read())
    data = encode(manifest | {"layers": manifest["layers"] * 2})
    changed = Descriptor.of(data, one.media_type)
    memory._blobs[changed.digest] = data
    memory._referrers = {image.digest: {changed.digest: msgspec.structs.replace(changed, artifact_type=BUNDLE)}}
    (found,) = bundles(memory, image)
    assert found.trouble == "its manifest has 2 layers; a bundle has one"


def test_a_crowd_of_bundles_is_refused(image: Descriptor) -> None:
    memory = MemoryStore()
    for number in range(MOST + 1):
        manifest = Descriptor.of(b"%d" % number, image.media_type)
        memory.refer(msgspec.structs.replace(manifest, artifact_type=BUNDLE), image)
    with pytest.raises(IntegrityError, match=f"{MOST + 1} bundles beside it"):
        bundles(memory, image)
