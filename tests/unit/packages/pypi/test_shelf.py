"""A folder of wheels becomes an index with hashes, and means the same to uv as the folder itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.resolve import Resolver
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.shelf import shelved
from wheelhouse import Index, sdist, served, wheel

LINUX = "cp311-cp311-manylinux_2_28_x86_64"
OWN = wheel("My-Own", "2.0+cpu", needs=("lib",), tag=LINUX)
SHELF = (
    OWN,
    wheel("My-Own", "2.0+cpu", tag="cp313-cp313-manylinux_2_28_x86_64"),
    wheel("lib", "1.0"),
    sdist("source"),
)


@pytest.fixture
def index() -> Iterator[Index]:
    with served(wheel("lib", "3.0"), wheel("My-Own", "1.0")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a folder, with & and +"
    path.mkdir()
    for file in SHELF:
        file.into(path)
    (path / "README").write_text("no wheel")
    return path


def test_wheels_of_the_folder_and_of_the_index_are_alike(
    index: Index, folder: Path, python: ImagePython, tmp_path: Path
) -> None:
    alike = IndexSettings(default_index=index.url, find_links=(str(folder),), alike=True)
    asked = Requirements.of(["my-own==2.0"])
    found = Resolver(python=python, settings=alike, cache=tmp_path / "cache" / "uv").resolve(asked)
    assert [(each.name, each.version) for each in found] == [("lib", "3.0"), ("my-own", "2.0+cpu")]
    assert found[1].sha256.hex == OWN.sha256
    plain = msgspec.structs.replace(alike, alike=False)
    same = Resolver(python=python, settings=plain, cache=tmp_path / "other" / "uv").resolve(asked)
    assert [each.pin(0) for each in same] == [each.pin(0) for each in found]
    assert not list((tmp_path / "cache" / "uv").rglob("My_Own/__init__.py"))
    assert list((tmp_path / "other" / "uv").rglob("My_Own/__init__.py")), "uv needs no shelf any more"


def test_only_what_the_image_could_use_is_hashed_and_only_once(
    folder: Path, python: ImagePython, tmp_path: Path
) -> None:
    settings = IndexSettings(find_links=(folder.as_uri(), "https://x.test/page"), alike=True)
    first = shelved(settings, python, tmp_path / "cache")
    (page,) = (tmp_path / "cache").glob("*/my-own/index.html")
    assert first.find_links == ("https://x.test/page",)
    assert page.read_text().count("sha256=") == 1
    assert page.read_text().count("<a ") == 2
    (folder / OWN.name).chmod(0)
    assert shelved(settings, python, tmp_path / "cache") == first


def test_a_changed_file_is_another_index(folder: Path, python: ImagePython, tmp_path: Path) -> None:
    settings = IndexSettings(find_links=(str(folder),), alike=True)
    before = shelved(settings, python, tmp_path / "cache")
    changed = wheel("My-Own", "2.0+cpu", tag=LINUX, padding=9)
    changed.into(folder)
    after = shelved(settings, python, tmp_path / "cache")
    assert after.indexes != before.indexes
    assert any(changed.sha256 in page.read_text() for page in (tmp_path / "cache").glob("*/my-own/index.html"))


def test_a_damaged_memory_is_made_anew(folder: Path, python: ImagePython, tmp_path: Path) -> None:
    settings = IndexSettings(find_links=(str(folder),), alike=True)
    before = shelved(settings, python, tmp_path / "cache")
    (memory,) = (tmp_path / "cache").glob("*.json")
    memory.write_bytes(b"[[")
    assert shelved(settings, python, tmp_path / "cache") == before


@pytest.mark.parametrize("settings", [IndexSettings(), IndexSettings(no_index=True, alike=True)])
def test_uvs_own_folders_stay_what_they_are(settings: IndexSettings, folder: Path, python: ImagePython) -> None:
    settings = msgspec.structs.replace(settings, find_links=(str(folder),))
    assert shelved(settings, python, folder / "never") == settings
    assert not (folder / "never").exists()
