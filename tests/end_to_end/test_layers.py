"""Layers of real images: disjoint, with parents that are the same everywhere, and small where that is asked for."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from end_to_end.small import Downloads, blob, layers_of, run_tiffin, tiffin, write_project
from programs.iris import Iris, build_iris
from tiffin.layers.entry import MTIME
from tiffin.packages.lock import FILENAME, read_lock
from unit.layers.zips import Zipped, noise, save, zipped

OWN_MODES = {"tmp": 0o1777, "var/tmp": 0o1777}
"""Folders that everybody may write to."""


@pytest.fixture(scope="module")
def iris(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iris:
    return build_iris(home, tmp_path_factory.mktemp("layers") / "iris")


@pytest.fixture(scope="module")
def slim(iris: Iris) -> str:
    """The digest of the same image, built slim."""
    settings = iris.folder / "tiffin.toml"
    settings.write_text(settings.read_text().replace("[image]", "[image]\nslim = true"))
    home = iris.layout.parent
    return tiffin(home, "build", iris.folder, "--tag", "slim").partition("@")[2]


def members(home: Path, digest: str) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Every member of every layer, with the layer's title."""
    for title, layer in layers_of(home, digest):
        with tarfile.open(blob(home, layer), "r:*") as tar:
            yield from ((title, member) for member in tar)


def check_disjoint(home: Path, digest: str) -> set[str]:
    """Assert that no path but folders is in two layers, and that folders are the same everywhere; return the files."""
    files: dict[str, str] = {}
    for title, member in members(home, digest):
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (MTIME, 0, 0, "", "")
        if member.isdir():
            assert member.mode == OWN_MODES.get(member.name, 0o755), f"{member.name} in {title}"
        else:
            assert member.name not in files, f"{member.name} is in {files[member.name]} and in {title}"
            files[member.name] = title
    return set(files)


def test_no_path_is_in_two_layers(iris: Iris) -> None:
    files = check_disjoint(iris.layout.parent, iris.digest)
    assert len(files) > 9_000


def test_a_slim_image_is_smaller_and_lacks_what_explain_said(iris: Iris, slim: str) -> None:
    home = iris.layout.parent
    full, small = check_disjoint(home, iris.digest), check_disjoint(home, slim)
    assert small < full
    said = json.loads(tiffin(home, "explain", iris.name, "--json"))["slim"]
    assert sum(saving["files"] for saving in said) == pytest.approx(len(full - small), rel=0.05)
    before, now = (json.loads(tiffin(home, "explain", name, "--json")) for name in (iris.name, "slim"))
    assert before["unpacked"] - now["unpacked"] > 40_000_000
    assert before["packed"] - now["packed"] > 6_000_000


def test_a_slim_image_answers_as_the_full_one_does(iris: Iris, slim: str) -> None:
    assert slim != iris.digest
    home = iris.layout.parent
    url = tiffin(home, "run", "slim", "--detach", "--name", "slim", "--publish", "0")
    try:
        iris.check_answers(urlsplit(url).netloc)
    finally:
        tiffin(home, "rm", "--force", "slim")


def test_layers_of_the_lock_are_told_apart_by_slim(iris: Iris, slim: str) -> None:
    home = iris.layout.parent
    assert tiffin(home, "build", iris.folder, "--tag", "slim").partition("@")[2] == slim
    settings = iris.folder / "tiffin.toml"
    settings.write_text(settings.read_text().replace("slim = true", "slim = false"))
    assert tiffin(home, "build", iris.folder, "--locked", "--tag", "full").partition("@")[2] == iris.digest


def pinned(folder: Path, name: str, **files: bytes) -> None:
    """Write a wheel that brings files into a package called `shared`."""
    info = f"{name}-1.dist-info"
    documents = {
        "METADATA": f"Name: {name}\nVersion: 1\n",
        "WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        "RECORD": "",
    }
    brought = {f"shared/{path.replace('_py', '.py')}": data for path, data in files.items()}
    documents_of = {f"{info}/{document}": text.encode() for document, text in documents.items()}
    save(
        folder,
        zipped(Zipped(path, data) for path, data in (brought | documents_of).items()),
        f"{name}-1-py3-none-any.whl",
    )


def test_wheels_that_bring_the_same_files_make_disjoint_layers_and_a_warning(
    downloads: Downloads, tmp_path: Path
) -> None:
    home, folder, shelf = downloads.copy(tmp_path / "home"), write_project(tmp_path / "project"), tmp_path / "shelf"
    shelf.mkdir()
    big = noise(5 << 20)
    pinned(shelf, "one", marker_py=b"", which_py=b"NAME = 'one'", old_py=b"", data=big)
    pinned(shelf, "two", marker_py=b"", which_py=b"NAME = 'two'", old_py=b"print 'two'")
    settings = folder / "tiffin.toml"
    settings.write_text(settings.read_text().replace('["six==1.17.0"]', '["one==1", "two==1"]'))
    index = {"UV_FIND_LINKS": str(shelf), "UV_NO_INDEX": "1"}

    built = run_tiffin(home, "build", folder, **index)
    assert built.returncode == 0, built.stderr
    assert "one and two bring 2 of the same files with other content (shared/old.py, shared/which.py)" in built.stderr
    digest = built.stdout.strip().partition("@")[2]
    files = {path.rpartition("/")[2] for path in check_disjoint(home, digest) if "/shared/" in path}
    assert files == {"marker.py", "which.py", "old.py", "data", "marker.cpython-311.pyc", "which.cpython-311.pyc"}
    for _, member in members(home, digest):
        assert member.name != "opt/venv/lib/site-packages/shared/which.py" or member.size == len("NAME = 'two'")

    (overlap,) = read_lock(folder / FILENAME).overlaps or ()
    assert (overlap.wheels, overlap.paths, overlap.differing) == (("one", "two"), 3, 2)
    again = run_tiffin(home, "build", folder, "--locked", "--offline", **index)
    assert again.stdout == built.stdout
    assert "one and two bring 2" in again.stderr
