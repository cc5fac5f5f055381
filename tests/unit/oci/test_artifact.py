"""What speaks of an image is found by the image, and changes nothing about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiffin.errors import IntegrityError
from tiffin.oci.artifact import attach, attached, read_artifact
from tiffin.oci.documents import MANIFEST, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.store import Referrers
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore

KIND = "application/vnd.example+json"
CONFIG = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[]))


@pytest.fixture(params=["memory", "layout"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Referrers:
    return MemoryStore() if request.param == "memory" else LayoutStore(tmp_path / "store")


def image(store: Referrers, title: str) -> Descriptor:
    made = Image.make(CONFIG, [], {"title": title})
    made.write(store)
    return made.descriptor


def test_documents_are_found_by_kind_and_annotations(store: Referrers) -> None:
    subject = image(store, "one")
    attach(store, subject, KIND, b'{"a":1}', {"says": "a"})
    attach(store, subject, KIND, b'{"b":1}', {"says": "b"})
    attach(store, subject, "application/other", b"{}", {"says": "a"})
    assert attached(store, subject, KIND, {"says": "a"}) == [b'{"a":1}']
    assert sorted(attached(store, subject, KIND, {})) == [b'{"a":1}', b'{"b":1}']


def test_an_image_has_only_its_own(store: Referrers) -> None:
    one, other = image(store, "one"), image(store, "other")
    attach(store, one, KIND, b"{}", {})
    assert len(store.referrers(one)) == 1
    assert store.referrers(other) == []


def test_attaching_twice_is_the_same_as_once(store: Referrers) -> None:
    subject = image(store, "one")
    first = attach(store, subject, KIND, b"{}", {})
    assert attach(store, subject, KIND, b"{}", {}) == first
    assert store.referrers(subject) == [first]
    assert (first.media_type, first.artifact_type) == (MANIFEST, KIND)


def test_the_manifest_is_the_specification_s(store: Referrers) -> None:
    subject = image(store, "one")
    described = attach(store, subject, KIND, b"{}", {"says": "a"})
    with store.open(described) as stream:
        document = json.load(stream)
    assert document["artifactType"] == KIND
    assert document["subject"] == {"mediaType": MANIFEST, "digest": subject.digest, "size": subject.size}
    assert document["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    }
    assert read_artifact(store, described).subject == subject


def test_names_and_referrers_leave_each_other_alone(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    subject = image(store, "one")
    store.tag("one:latest", subject)
    attach(store, subject, KIND, b"{}", {})
    store.tag("one:2", subject)
    store.untag("one:latest")
    assert list(store.names()) == ["one:2"]
    assert attached(store, subject, KIND, {}) == [b"{}"]
    store.untag("one:2")
    assert len(store.referrers(subject)) == 1


def test_a_damaged_one_is_no_harm_to_others(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    subject = image(store, "one")
    damaged = attach(store, subject, KIND, b'{"a":1}', {})
    attach(store, subject, KIND, b'{"b":1}', {})
    store.path(damaged).write_bytes(b"damaged")
    assert attached(store, subject, KIND, {}) == [b'{"b":1}']
    with pytest.raises(IntegrityError):
        read_artifact(store, damaged)
