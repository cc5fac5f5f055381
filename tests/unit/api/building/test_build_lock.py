"""A build completes the lock with its layers, and a machine that has their blobs needs no package to build again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tiffin.api.building.build import build, have_below_weights
from tiffin.api.building.projects import Checkout, fresh_lock
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError, UnavailableError
from tiffin.packages.lock import read_lock, with_layers, write_lock

PROJECT = """\
name = "locked"
[model]
predictor = "predict:Predictor"
[python]
dependencies = ["joblib==1.5.2"]
"""


def copied(source: Home, root: Path) -> Home:
    """Copy a home by links: what it holds is never changed in place."""
    target = Home.of({"TIFFIN_HOME": str(root)})
    left_out = shutil.ignore_patterns("unpacked", "containers", "uv")
    for old, new in ((source.data, target.data), (source.cache, target.cache)):
        if old.exists():
            shutil.copytree(old, new, symlinks=True, copy_function=os.link, ignore=left_out)
    return target


@pytest.fixture(scope="module")
def built(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """Build once, in a copy of the home that the run shares."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "project").mkdir()
    (folder / "project" / "tiffin.toml").write_text(PROJECT)
    (folder / "project" / "predict.py").write_text("class Predictor:\n    def predict(self, x):\n        return x\n")
    copy = copied(Home.of({"TIFFIN_HOME": str(home)}), folder / "home")
    build(folder / "project", home=copy)
    return copy, folder / "project"


@pytest.fixture
def project(built: tuple[Home, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(built[1], tmp_path / "project"))


@pytest.fixture
def own(built: tuple[Home, Path], tmp_path: Path) -> Home:
    """Return a copy of the home that built the project, to take things away from."""
    return copied(built[0], tmp_path / "own")


def take_away_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("TIFFIN_DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def test_layers_of_the_lock_stand_for_packages_that_are_not_here(
    project: Path, own: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, lock = build(project, home=own), read_lock(project / "pylock.tiffin.toml")
    assert len(lock.layers) >= 5
    for name in ("wheels", "records", "debian", "urls"):
        shutil.rmtree(own.cache / name)
    take_away_the_network(monkeypatch)
    assert build(project, home=own) == before
    shutil.rmtree(own.cache)
    assert build(project, locked=True, offline=True, home=own) == before
    write_lock(with_layers(lock, {}), project / "pylock.tiffin.toml")
    shutil.rmtree(own.cache)
    with pytest.raises(UnavailableError):
        build(project, home=own)


def test_a_lock_is_completed_once_and_stays_fresh(project: Path, own: Home) -> None:
    path = project / "pylock.tiffin.toml"
    complete = read_lock(path)
    build(project, home=own)
    assert read_lock(path) == complete
    written = path.stat().st_ino
    (project / "predict.py").write_text("class Predictor:\n    pass\n")
    build(project, home=own)
    assert path.stat().st_ino == written
    assert fresh_lock(Checkout.of(project), own, locked=True) == complete


def test_locked_completes_nothing(project: Path, own: Home) -> None:
    path = project / "pylock.tiffin.toml"
    bare = with_layers(read_lock(path), {})
    write_lock(bare, path)
    build(project, locked=True, home=own)
    assert read_lock(path) == bare
    build(project, home=own)
    assert read_lock(path) != bare


def test_all_below_the_weights_can_be_had_before_there_is_a_model(project: Path, own: Home) -> None:
    path = project / "pylock.tiffin.toml"
    complete = read_lock(path)
    write_lock(with_layers(complete, {}), path)
    shutil.rmtree(own.cache / "records" / "layers")
    (project / "tiffin.toml").write_text(PROJECT.replace('[model]\npredictor = "predict:Predictor"\n', ""))
    layers = have_below_weights(Checkout.of(project, needs_model=False), own)
    assert read_lock(path) == complete, "the lock knows what an image of any model stands on"
    assert {layer.descriptor.digest for layer in layers} == {record.digest for record in complete.layers.values()}


def test_a_folder_that_cannot_be_written_to_builds(project: Path, own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project / "pylock.tiffin.toml"
    write_lock(with_layers(read_lock(path), {}), path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root may write anywhere, so no mode would do

    monkeypatch.setattr("tiffin.api.building.build.write_lock", refuse)
    assert build(project, home=own).startswith("locked@sha256:")


def test_offline_works_from_the_caches_alone(project: Path, own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away_the_network(monkeypatch)
    lock = read_lock(project / "pylock.tiffin.toml")
    write_lock(with_layers(lock, {}), project / "pylock.tiffin.toml")
    shutil.rmtree(own.cache / "records")
    assert build(project, offline=True, home=own).startswith("locked@sha256:")


def test_offline_names_everything_that_is_missing(project: Path, own: Home) -> None:
    lock = read_lock(project / "pylock.tiffin.toml")
    write_lock(with_layers(lock, {}), project / "pylock.tiffin.toml")
    for name in ("records", "wheels"):
        shutil.rmtree(own.cache / name)
    (gone, *_) = lock.python_debs
    shutil.rmtree(own.cache / "debian" / "pool" / gone.sha256.hex)
    with pytest.raises(UnavailableError, match=r"joblib==1\.5\.2") as caught:
        build(project, offline=True, home=own)
    assert str(gone) in caught.value.message
    assert "httptools==" in caught.value.message
    assert caught.value.hint


def test_offline_makes_no_lock(project: Path, own: Home) -> None:
    (project / "tiffin.toml").write_text(PROJECT.replace("1.5.2", "1.5.1"))
    with pytest.raises(ConfigError, match="stale"):
        build(project, offline=True, home=own)
