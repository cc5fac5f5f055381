"""The statement names everything an image is made of, with its digest, and nothing of who made it where."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tiffin.build.carried import read_project_text
from tiffin.build.plan import plan_image
from tiffin.build.provenance import BUILD_TYPE, attach_provenance, provenance_of, statement
from tiffin.config.project import ImageSection
from tiffin.oci.documents import ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.store.memory import MemoryStore
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, PROJECT, SERVER, digest, source

PLAN = plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD)
IMAGE = digest("image")


def said(**changed: Any) -> dict[str, Any]:
    parts = {"project": PROJECT, "environment": ENVIRONMENT, "server": SERVER, "payload": PAYLOAD} | changed
    document: dict[str, Any] = json.loads(statement(plan_image(**parts), IMAGE))
    return document


def test_it_is_about_the_image_and_of_slsa_s_type() -> None:
    document = said()
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    assert document["subject"] == [{"name": "iris", "digest": {"sha256": IMAGE.hex}}]
    assert document["predicate"]["buildDefinition"]["buildType"] == BUILD_TYPE


def test_every_package_and_file_is_named_once_with_its_digest() -> None:
    parts = said()["predicate"]["buildDefinition"]["resolvedDependencies"]
    found = {part.get("uri", part.get("name")): part.get("digest", {}).get("sha256") for part in parts}
    assert found["pkg:deb/debian/libc6@1?arch=amd64&distro=debian-12"] == digest("libc6").hex
    assert found["pkg:pypi/numpy@1.0"] == digest("numpy-1.0-py3-none-any.whl").hex
    assert found["pkg:pypi/uvloop@1.0"] == digest("uvloop-1.0-py3-none-any.whl").hex
    assert found["models/model.joblib"] == source("models/model.joblib").digest.hex
    assert found["app/a.py"] == source("app/a.py").digest.hex
    assert len(parts) == len(found) == 2 + 5 + 2 + 2


def test_what_was_asked_for_is_the_project_without_the_mirror() -> None:
    image = ImageSection(mirror="http://user:secret@mirror.example/debian")
    project = msgspec.structs.replace(PROJECT, image=image)
    asked = said(project=project)["predicate"]["buildDefinition"]["externalParameters"]["project"]
    assert asked["model"]["path"] == "model.joblib"
    assert read_project_text(json.dumps(asked), "the statement") == PROJECT
    assert statement(plan_image(project, ENVIRONMENT, SERVER, PAYLOAD), IMAGE) == statement(PLAN, IMAGE)


def test_no_time_and_no_address_is_in_it() -> None:
    text = statement(PLAN, IMAGE).decode()
    assert said()["predicate"]["runDetails"]["metadata"] == {}
    addresses = {word.split("/")[2] for word in text.split('"') if "://" in word}
    assert addresses == {"in-toto.io", "slsa.dev", "tiffin.dev"}


def test_a_retrain_changes_its_line_and_no_other() -> None:
    retrained = said(payload=msgspec.structs.replace(PAYLOAD, weights=(source("models/model.joblib", "better"),)))
    before, after = (one["predicate"]["buildDefinition"]["resolvedDependencies"] for one in (said(), retrained))
    assert [one["name"] for one, other in zip(before, after, strict=True) if one != other] == ["models/model.joblib"]


def test_it_is_kept_beside_the_image() -> None:
    store = MemoryStore()
    image = Image.make(ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[])), [], {})
    image.write(store)
    assert provenance_of(store, image.descriptor) == []
    attach_provenance(store, PLAN, image.descriptor)
    assert provenance_of(store, image.descriptor) == [statement(PLAN, image.descriptor.digest)]


def test_in_toto_s_own_library_reads_it() -> None:
    statements = pytest.importorskip("in_toto_attestation.v1.statement_pb2", reason="needs in-toto-attestation")
    provenances = pytest.importorskip("in_toto_attestation.predicates.provenance.v1.provenance_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    document = said()
    read = json_format.ParseDict(document, statements.Statement())
    assert read.subject[0].digest["sha256"] == IMAGE.hex
    predicate = json_format.ParseDict(document["predicate"], provenances.Provenance())
    assert predicate.build_definition.build_type == BUILD_TYPE
    assert len(predicate.build_definition.resolved_dependencies) > 10
