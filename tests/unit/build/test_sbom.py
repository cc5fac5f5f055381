"""The bill of materials lists every part once, is the same for the same parts, and is what its specifications ask."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from tiffin.api.images.sbom import sbom
from tiffin.api.machine.home import Home
from tiffin.build.plan import plan_image
from tiffin.build.recipes import Metadata
from tiffin.build.sbom import CYCLONEDX, SPDX, Contents, components, cyclonedx, spdx
from tiffin.errors import IntegrityError, NotFoundError
from tiffin.layers.entry import Entry
from tiffin.layers.write import write_layer
from tiffin.oci.documents import History, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.packages.pins import DebPin
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, PROJECT, SERVER, deb, digest, source, wheel


def pin(name: str, version: str) -> DebPin:
    return DebPin(name=name, version=version, architecture="amd64", path=name, sha256=digest(name), size=1)


CONTENTS = Contents(
    name="iris",
    version="1",
    python="3.11",
    suite="bookworm",
    created="1980-01-01T00:00:00Z",
    debs=(deb("libc6"), pin("libstdc++6", "1:12.2.0-14+deb12u1"), pin("python3.11", "3.11.2-6+deb12u6")),
    wheels=(wheel("numpy", version="2.4.6+local.1"), wheel("six")),
    server=(wheel("uvloop"), wheel("six")),
    models=(source("models/model.joblib"),),
)


def texts() -> dict[str, str]:
    plan = plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD)
    metadata = plan.recipes[-1]
    assert isinstance(metadata, Metadata)
    return metadata.texts


def test_every_package_is_listed_with_its_url_and_hash() -> None:
    listed = {part["bom-ref"]: part for part in json.loads(cyclonedx(CONTENTS))["components"]}
    libstdcxx = "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
    purls = [part["purl"] for part in listed.values() if "purl" in part]
    assert libstdcxx in purls
    assert "pkg:pypi/numpy@2.4.6%2Blocal.1" in purls
    assert "pkg:generic/python@3.11.2" in purls
    assert purls.count("pkg:pypi/six@1.0") == 2  # the user's and the server's are two
    assert len(listed) == 3 + 4 + 3
    model = listed["machine-learning-model:models/model.joblib#models/model.joblib"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": source("models/model.joblib").digest.hex}]
    assert all(re.fullmatch(r"pkg:[a-z]+/[^\s]+@[^\s]+", purl) for purl in purls)
    assert unquote(libstdcxx).startswith("pkg:deb/debian/libstdc++6@1:12.2.0-14+deb12u1")


def test_both_forms_list_the_same_parts() -> None:
    one = json.loads(cyclonedx(CONTENTS))["components"]
    other = json.loads(spdx(CONTENTS))["packages"][1:]
    assert [(p["name"], p.get("version")) for p in one] == [(p["name"], p.get("versionInfo")) for p in other]
    assert len({package["SPDXID"] for package in other}) == len(other) == len(components(CONTENTS))


def test_the_same_parts_are_the_same_bytes_and_others_have_another_number() -> None:
    reordered = msgspec.structs.replace(CONTENTS, debs=CONTENTS.debs)
    assert (cyclonedx(reordered), spdx(reordered)) == (cyclonedx(CONTENTS), spdx(CONTENTS))
    changed = msgspec.structs.replace(CONTENTS, models=(source("models/model.joblib", "retrained"),))
    numbers = [json.loads(cyclonedx(contents))["serialNumber"] for contents in (CONTENTS, changed)]
    assert numbers[0] != numbers[1]
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", number) for number in numbers)


def test_an_edit_of_the_code_changes_nothing_in_it() -> None:
    edited = msgspec.structs.replace(PAYLOAD, code=(source("app/a.py", "edited"),))
    metadata = plan_image(PROJECT, ENVIRONMENT, SERVER, edited).recipes[-1]
    assert isinstance(metadata, Metadata)
    assert metadata.texts == texts()


def test_cyclonedx_is_valid_by_its_schema() -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="needs cyclonedx-python-lib[json-validation]")
    schema = pytest.importorskip("cyclonedx.schema")
    pytest.importorskip("jsonschema", reason="needs cyclonedx-python-lib[json-validation]")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    for text in (cyclonedx(CONTENTS), texts()[CYCLONEDX]):
        assert validator.validate_str(text) is None


def test_spdx_is_valid_by_its_rules(tmp_path: Path) -> None:
    parser = pytest.importorskip("spdx_tools.spdx.parser.parse_anything", reason="needs spdx-tools")
    rules = pytest.importorskip("spdx_tools.spdx.validation.document_validator")
    for text in (spdx(CONTENTS), texts()[SPDX]):
        path = tmp_path / "sbom.spdx.json"
        path.write_text(text)
        document: Any = parser.parse_file(str(path))
        assert [message.validation_message for message in rules.validate_full_spdx_document(document)] == []


def made(home: Home, *titles: str) -> Image:
    """Make an image whose layers have these titles; the one that is `metadata` has the documents."""
    inside = [Entry.of(path, text.encode()) for path, text in texts().items()]
    layers = [write_layer(inside if title == "metadata" else [Entry.of("a", b"x")], home.store) for title in titles]
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        rootfs=RootFS(diff_ids=[layer.diff_id for layer in layers]),
        history=[History(comment=title) for title in titles],
    )
    image = Image.make(config, [layer.descriptor for layer in layers], {})
    image.write(home.store)
    home.store.tag("iris:latest", image.descriptor)
    return image


def test_it_is_read_back_out_of_the_image(tmp_path: Path) -> None:
    home = Home(data=tmp_path / "data", cache=tmp_path / "cache")
    made(home, "weights", "metadata")
    assert sbom("iris", "cyclonedx", home) == texts()[CYCLONEDX]
    assert sbom("iris", "spdx", home) == texts()[SPDX]


def test_an_image_without_one_says_so(tmp_path: Path) -> None:
    home = Home(data=tmp_path / "data", cache=tmp_path / "cache")
    made(home, "weights")
    with pytest.raises(NotFoundError, match="iris has no /opt/tiffin/sbom"):
        sbom("iris", "spdx", home)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda _: b"\x1f\x8b" + bytes(99), lambda _: b""])
def test_a_damaged_layer_is_not_believed(tmp_path: Path, damage: Any) -> None:
    home = Home(data=tmp_path / "data", cache=tmp_path / "cache")
    layer = made(home, "metadata").manifest.layers[0]
    path = home.store.path(layer)
    data = damage(path.read_bytes())
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        sbom("iris", "spdx", home)
