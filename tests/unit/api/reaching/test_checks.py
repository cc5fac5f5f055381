"""The checks that an image carries, called as its project calls them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from programs.base_image import packed
from tiffin.api.machine.home import Home
from tiffin.api.reaching.checks import checks_of
from tiffin.build.carried import PROJECT, project_text
from tiffin.build.plan import CHECKS, SERVICE
from tiffin.config.project import CheckSection, ModelSection, Project
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, History, ImageConfig, RootFS
from tiffin.oci.image import Image


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.of({"TIFFIN_HOME": str(tmp_path)})


def carrying(home: Home, count: int, project: str) -> Image:
    """An image with so many checks, and what it says of its project."""
    checks = [{"request": f"/{CHECKS}/{number}/request.json"} for number in range(count)]
    files: dict[str, bytes | str | None] = {f"{CHECKS}/{number}/request.json": b"[[1]]" for number in range(count)}
    files |= {SERVICE: json.dumps({"name": "iris", "checks": checks}).encode(), PROJECT: project.encode()}
    tar = packed(files)
    zipped = gzip.compress(tar)
    layer = Descriptor.of(zipped, LAYER)
    home.store.put(layer, io.BytesIO(zipped))
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        rootfs=RootFS(diff_ids=[Digest.of(tar)]),
        history=[History(comment="metadata")],
    )
    image = Image.make(config, [layer], {})
    image.write(home.store)
    return image


def written(*checks: CheckSection) -> str:
    return project_text(Project(name="iris", model=ModelSection(path="model.onnx"), check=checks))


def names(home: Home, count: int, project: str) -> list[str]:
    return [check.name for check in checks_of(home.store, carrying(home, count, project), "iris")]


def test_a_check_is_called_by_the_file_of_its_request(home: Home) -> None:
    project = written(CheckSection(request="checks/roses.json", expect="a.json"), CheckSection(request="lilies.json"))
    assert names(home, 2, project) == ["checks/roses.json", "lilies.json"]


def test_two_that_ask_the_same_are_told_apart_by_what_they_expect(home: Home) -> None:
    project = written(CheckSection(request="a.json", expect="b.json"), CheckSection(request="a.json"))
    assert names(home, 2, project) == ["a.json, b.json", "a.json, any answer"]


def test_where_the_image_says_nothing_that_can_be_read_they_have_numbers(home: Home) -> None:
    assert names(home, 2, '{"of": "another tiffin"}') == ["checks/0", "checks/1"]
    assert names(home, 1, written()) == ["checks/0"]
