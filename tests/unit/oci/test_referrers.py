"""What speaks of an image is called by what it says, and no more of it is taken along than there may be."""

from __future__ import annotations

import io

import msgspec
import pytest

from tiffin.oci.artifact import ATTACHED_LIMIT, attach
from tiffin.oci.documents import (
    EMPTY,
    INDEX,
    MANIFEST,
    NOTHING,
    Artifact,
    Descriptor,
    ImageConfig,
    Index,
    RootFS,
    encode,
)
from tiffin.oci.image import Image
from tiffin.oci.referrers import beside, carry, manifests, title
from tiffin.progress import Event, Noted, listening
from tiffin.store.memory import MemoryStore

IMAGE = Image.make(ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[])), [], {})


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    IMAGE.write(store)
    return store


def put(store: MemoryStore, artifact: Artifact) -> Descriptor:
    """Keep a manifest whatever its parts are."""
    data = encode(artifact)
    described = Descriptor.of(data, MANIFEST)
    store.put(EMPTY, io.BytesIO(NOTHING))
    store.put(described, io.BytesIO(data))
    store.refer(described, IMAGE.descriptor)
    return described


def notes(source: MemoryStore, target: MemoryStore) -> list[str]:
    events: list[Event] = []
    with listening(events.append):
        carry(source, target, IMAGE.descriptor)
    return [event.message for event in events if isinstance(event, Noted)]


def test_more_than_anybody_expects_is_left_behind(store: MemoryStore) -> None:
    large = Descriptor(media_type="x/y", digest=IMAGE.descriptor.digest, size=ATTACHED_LIMIT + 1)
    manifest = put(store, Artifact(artifact_type="x/y", layers=[large], subject=IMAGE.descriptor))
    (said,) = notes(store, MemoryStore())
    assert said.startswith(f"the x/y of {IMAGE.descriptor.digest.short} is left behind")
    assert manifest.digest in said


def test_what_is_gone_is_left_behind_and_the_rest_is_not(store: MemoryStore) -> None:
    gone = Descriptor.of(b"gone", "x/y")
    put(store, Artifact(artifact_type="x/y", layers=[gone], subject=IMAGE.descriptor))
    kept = attach(store, IMAGE.descriptor, "x/z", b"kept", {})
    target = MemoryStore()
    assert [gone.digest in said for said in notes(store, target)] == [True]
    assert target.referrers(IMAGE.descriptor) == [kept]


def test_a_manifest_of_no_kind_is_left_behind(store: MemoryStore) -> None:
    data = encode({"mediaType": MANIFEST, "artifactType": "x/y", "subject": IMAGE.descriptor})
    described = Descriptor.of(data, MANIFEST)
    store.put(described, io.BytesIO(data))
    store.refer(described, IMAGE.descriptor)
    assert len(notes(store, MemoryStore())) == 1


def test_a_chain_without_an_end_is_followed_for_a_while(store: MemoryStore) -> None:
    subject = IMAGE.descriptor
    for number in range(9):
        subject = attach(store, subject, "x/y", b"%d" % number, {})
    assert len(beside(store, IMAGE.descriptor)) == 3


def test_of_an_index_each_image_is_spoken_of(store: MemoryStore) -> None:
    data = encode(Index(manifests=[IMAGE.descriptor, IMAGE.descriptor]))
    index = Descriptor.of(data, INDEX)
    store.put(index, io.BytesIO(data))
    assert [one.digest for one in manifests(store, index)] == [index.digest, IMAGE.descriptor.digest]
    made = {attach(store, subject, "x/y", b"1", {}).digest for subject in (index, IMAGE.descriptor)}
    assert {one.digest for one in carry(store, MemoryStore(), index)} == made


@pytest.mark.parametrize(
    ("annotations", "kind", "called"),
    [
        ({"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"}, None, "signature"),
        ({"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}, None, "signed provenance"),
        ({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}, None, "provenance"),
        ({"in-toto.io/predicate-type": "https://example.com/own"}, "x/y", "https://example.com/own"),
        ({}, "application/spdx+json", "application/spdx+json"),
        ({}, None, "attachment"),
        ({"in-toto.io/predicate-type": "\x1b[2Ksignature"}, "x/y", "attachment"),
    ],
)
def test_it_is_called_by_what_it_says(annotations: dict[str, str], kind: str | None, called: str) -> None:
    found = msgspec.structs.replace(IMAGE.descriptor, annotations=annotations, artifact_type=kind)
    assert title(found) == called
