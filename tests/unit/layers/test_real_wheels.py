"""Wheels as the world makes them, held against what pip installs from the same file."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from unit.layers.shelf import Shelf

SITE = "opt/venv/lib/site-packages/"
OURS = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


def pip(*arguments: str | Path) -> bool:
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["numpy", "joblib", "uvloop", "ruff"])
def test_a_layer_holds_what_pip_installs(name: str, shelf: Shelf, tmp_path: Path) -> None:
    wanted = f"{name}=={version(name)}"
    if not pip("download", "--no-deps", "--only-binary", ":all:", "--dest", tmp_path / "wheels", wanted):
        pytest.skip("network: a package index")
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert pip("install", "--no-deps", "--no-compile", "--no-index", "--target", tmp_path / "there", wheel)

    files = shelf.files(wheel_layer([WheelSource.named(wheel)], shelf))
    here = {path.removeprefix(SITE): file for path, file in files.items() if path.startswith(SITE)}
    there = {
        str(path.relative_to(tmp_path / "there")): (path.stat().st_mode & 0o111, path.read_bytes())
        for path in (tmp_path / "there").rglob("*")
        if path.is_file() and not path.is_relative_to(tmp_path / "there/bin")
    }
    assert {path: (mode & 0o111, data) for path, (mode, data) in here.items() if Path(path).name not in OURS} == {
        path: file for path, file in there.items() if Path(path).name not in OURS
    }
    scripts = {path.removeprefix("opt/venv/bin/") for path in files if path.startswith("opt/venv/bin/")}
    assert scripts == {path.name for path in (tmp_path / "there/bin").glob("*")}
