"""The same project gives the same bytes, whoever builds it, where, when, and how the machine is set."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.builders import ELSEWHERE, NOBODY, Builder, give, somebody
from end_to_end.small import (
    EXECUTABLE,
    FILES,
    Downloads,
    blob,
    environment,
    layers_of,
    manifest_of,
    tiffin,
    write_project,
)
from tiffin.packages.lock import FILENAME

PYC = [
    "usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
    "opt/venv/lib/site-packages/__pycache__/six.cpython-311.pyc",
    "opt/tiffin/worker/tiffin_serve/worker/__pycache__/main.cpython-311.pyc",
]


@pytest.fixture(scope="module")
def here(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The image, made in an empty home: the home and the image's digest."""
    home = downloads.copy(tmp_path_factory.mktemp("here"))
    folder = write_project(home / "project")
    shutil.copy(downloads.lock, folder / FILENAME)
    set_times(folder, 1_700_000_000)
    image = tiffin(home, "build", folder, TZ="UTC", LC_ALL="C.UTF-8", PYTHONHASHSEED="0")
    return home, image.partition("@")[2]


@pytest.fixture
def elsewhere(downloads: Downloads) -> Iterator[Path]:
    """An empty home in a place that other users reach, with the project's files written backwards in it."""
    home = Path(
        tempfile.mkdtemp(prefix="tiffin-elsewhere-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    downloads.copy(home, shutil.copyfile)
    folder = write_project(home / "another" / "place", tuple(reversed(FILES)))
    shutil.copyfile(downloads.lock, folder / FILENAME)
    set_times(folder, 1_000_000)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path == folder / EXECUTABLE else 0o600)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def set_times(folder: Path, seconds: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (seconds, seconds))


def build(home: Path, builder: Builder) -> str:
    """Build the project in `home` as somebody with other settings; return the image's digest."""
    done = subprocess.run(
        [builder.python, "-m", "tiffin", "build", "place", "--locked"],
        cwd=home / "another",
        env=environment(home, PYTHONPATH=os.pathsep.join(builder.path), **ELSEWHERE),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=0o077,
        timeout=120,
        check=False,
        **({"user": builder.user, "group": builder.user, "extra_groups": []} if builder.user else {}),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().partition("@")[2]


def test_another_folder_umask_clock_locale_hash_seed_and_order_of_files_give_the_same_image(
    here: tuple[Path, str], elsewhere: Path
) -> None:
    home, digest = here
    found = build(elsewhere, Builder(python=sys.executable, path=[entry for entry in sys.path if entry]))
    assert layers_of(elsewhere, found) == layers_of(home, digest)
    assert manifest_of(elsewhere, found) == manifest_of(home, digest)
    assert found == digest


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_another_user_gives_the_same_image(here: tuple[Path, str], elsewhere: Path) -> None:
    home, digest = here
    builder = somebody(NOBODY)
    give(elsewhere, NOBODY)
    found = build(elsewhere, builder)
    assert layers_of(elsewhere, found) == layers_of(home, digest)
    assert found == digest
    assert blob(elsewhere, digest).stat().st_uid == NOBODY


def test_the_same_image_holds_bytecode_of_python_of_wheels_and_of_the_server(here: tuple[Path, str]) -> None:
    home, digest = here
    found = {}
    for layer in manifest_of(home, digest)["layers"]:
        with tarfile.open(blob(home, layer["digest"])) as tar:
            found |= {
                name: member.read(8) for name in PYC if name in tar.getnames() and (member := tar.extractfile(name))
            }
    assert {name: head[4:] for name, head in found.items()} == dict.fromkeys(PYC, b"\1\0\0\0"), "unchecked hashes"


def test_the_image_is_the_one_that_was_built_where_its_packages_were_locked(
    here: tuple[Path, str], downloads: Downloads
) -> None:
    assert here[1] == downloads.digest


@pytest.mark.parametrize(
    ("name", "change", "layer"),
    [
        ("weights/more.txt", lambda path: path.write_text("1\n"), "weights"),
        ("parts/words.py", lambda path: path.write_text(FILES["parts/words.py"] + "\n"), "code"),
        ("parts/tool.py", lambda path: path.chmod(0o644), "code"),
    ],
)
def test_other_content_gives_another_image_and_the_same_other_layers(
    here: tuple[Path, str], tmp_path: Path, name: str, change: object, layer: str
) -> None:
    home, digest = here
    folder = write_project(tmp_path / "project")
    shutil.copy(home / "project" / FILENAME, folder)
    assert callable(change)
    change(folder / name)
    found = tiffin(home, "build", folder, "-t", "other").partition("@")[2]
    differing = {
        title
        for (title, one), (_, other) in zip(layers_of(home, digest), layers_of(home, found), strict=True)
        if one != other
    }
    assert differing == {layer}
