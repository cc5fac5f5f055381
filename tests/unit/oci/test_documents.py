"""Digests and documents: what is written is what the specification says."""

from __future__ import annotations

import json

import pytest

from tiffin.errors import ConfigError, IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, Manifest, RootFS, decode, encode
from tiffin.oci.image import Image

HEX = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"


def test_a_digest_is_read_written_and_compared_as_its_text() -> None:
    digest = Digest.parse(f"sha256:{HEX}")
    assert (digest.algorithm, digest.hex, digest.short) == ("sha256", HEX, HEX[:12])
    assert digest == Digest.of(b"hello world")
    assert f"{digest}" == f"sha256:{HEX}"


@pytest.mark.parametrize("text", ["", "sha256", f"sha256:{HEX[:-1]}", f"SHA256:{HEX}", f"md5:{HEX}", f"sha256:{HEX}\n"])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a digest"):
        Digest.parse(text)


def test_documents_are_written_as_the_specification_says() -> None:
    layer = Descriptor.of(b"layer", LAYER)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.digest]))
    image = Image.make(config, [layer], {"org.opencontainers.image.title": "iris"})
    manifest = json.loads(image.manifest_bytes)
    assert manifest["schemaVersion"] == 2
    assert manifest["layers"] == [{"mediaType": LAYER, "digest": str(layer.digest), "size": 5}]
    assert manifest["annotations"] == {"org.opencontainers.image.title": "iris"}
    assert json.loads(image.config_bytes)["rootfs"] == {"type": "layers", "diff_ids": [str(layer.digest)]}


def test_unknown_fields_of_foreign_documents_are_ignored_and_wrong_ones_are_placed() -> None:
    layer = Descriptor.of(b"layer", LAYER)
    data = json.loads(encode(Manifest(config=layer, layers=[layer]))) | {"new": 1}
    read = decode(Manifest, json.dumps(data).encode(), "here")
    assert read.layers == [layer]
    assert read.config.digest.hex == layer.digest.hex
    data["layers"][0]["digest"] = "sha256:short"
    with pytest.raises(IntegrityError, match=r"not a digest: 'sha256:short' - at `\$.layers\[0\].digest`"):
        decode(Manifest, json.dumps(data).encode(), "here")
