"""A lock is fresh for what it was made from, whichever file lists the packages, and stale for anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources import source_files, source_folder
from tiffin.api.building.projects import Checkout, edited_sources, fresh_lock
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError
from tiffin.packages.lock import Lock, write_lock
from tiffin.packages.pins import Origin, WheelPin
from tiffin.packages.pypi.source import Source

PROJECT = '[project]\nname = "mine"\nversion = "1"\ndependencies = ["scipy"]\n'
FILES: dict[str, tuple[str, str, str, str]] = {
    "requirements.txt": ("requirements.txt", "scipy\n", "numpy\n", "numpy was added, scipy was removed"),
    "pylock.toml": ("pylock.toml", 'lock-version = "1.0"', 'lock-version = "1.0"\n', "hashes changed"),
    "pyproject.toml": ("pyproject.toml", PROJECT, PROJECT.replace("scipy", "numpy"), "numpy was added"),
    "pyproject.toml, when uv.lock changes": ("uv.lock", "version = 1", "version = 1\n", "hashes changed"),
    "conda.yaml": ("conda.yaml", "dependencies: [{pip: [a]}]", "dependencies: [{pip: [a, b]}]", "b was added"),
    "environment.yml": ("environment.yml", "dependencies: [{pip: [a]}]", "dependencies: [{pip: [b]}]", "b was added"),
    "python_env.yaml": ("python_env.yaml", "python: 3.11\ndependencies: [a]", "python: 3.11", "a was removed"),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(data=tmp_path / "data", cache=tmp_path / "cache")


def write(folder: Path, python: str) -> Checkout:
    (folder / "tiffin.toml").write_text(f'name = "iris"\n[model]\npath = "model.onnx"\n[python]\n{python}\n')
    return Checkout.of(folder)


@pytest.mark.parametrize("kind", FILES)
def test_locked_refuses_a_lock_that_its_requirements_left_behind(kind: str, tmp_path: Path, home: Home) -> None:
    edited, before, after, words = FILES[kind]
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / edited).write_text(before)
    checkout = write(tmp_path, f'requirements = "{kind.partition(",")[0]}"')
    made = Lock.make(checkout.inputs())
    write_lock(made, checkout.lock_path)
    assert fresh_lock(checkout, home, locked=True) == made
    (tmp_path / edited).write_text(after)
    with pytest.raises(ConfigError, match=words) as caught:
        fresh_lock(checkout, home, locked=True)
    assert "tiffin lock" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", PROJECT + 'requires-python = ">=3.12"\n'),
        ("conda.yaml", "dependencies: [python=3.12.1]"),
        ("python_env.yaml", "python: 3.9.7\ndependencies: []"),
    ],
)
def test_packages_for_another_python_are_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    checkout = write(tmp_path, f'requirements = "{name}"')
    with pytest.raises(ConfigError, match=r"is for Python .*, and the image has 3\.11") as caught:
        checkout.inputs()
    assert "[python] version" in (caught.value.hint or "")


def local(folder: Path) -> Checkout:
    source_folder(folder / "mylib", source_files("mylib"))
    return write(folder, 'dependencies = ["./mylib"]')


def locked(checkout: Checkout) -> Lock:
    source = Source.local(checkout.folder / "mylib", "mylib")
    pin = WheelPin(name="mylib", version="1.0", filename="mylib-1.0-py3-none-any.whl", sha256=source.digest, size=1)
    return Lock.make(checkout.inputs(), [pin], origins={"mylib": Origin(source=source.digest, path="mylib")})


def test_locked_refuses_a_source_that_was_edited(tmp_path: Path, home: Home) -> None:
    checkout = local(tmp_path)
    made = locked(checkout)
    write_lock(made, checkout.lock_path)
    assert fresh_lock(checkout, home, locked=True) == made
    (tmp_path / "mylib" / "mylib" / "new.py").touch()
    with pytest.raises(ConfigError, match="is stale: mylib changed"):
        fresh_lock(checkout, home, locked=True)


def test_a_project_that_is_its_own_package_is_not_made_stale_by_its_weights_and_lock(
    tmp_path: Path, home: Home
) -> None:
    source_folder(tmp_path, source_files("mine"))
    checkout = write(tmp_path, 'requirements = "pyproject.toml"')
    source = Source.local(tmp_path, ".", checkout.no_source)
    pin = WheelPin(name="mine", version="1.0", filename="mine-1.0-py3-none-any.whl", sha256=source.digest, size=1)
    made = Lock.make(checkout.inputs(), [pin], origins={"mine": Origin(source=source.digest, path=".")})
    write_lock(made, checkout.lock_path)
    (tmp_path / "model.onnx").write_text("retrained")
    (tmp_path / "tiffin.toml").write_text((tmp_path / "tiffin.toml").read_text() + "[serve]\nmax-batch = 8\n")
    assert fresh_lock(Checkout.of(tmp_path), home, locked=True) == made
    (tmp_path / "mine" / "__init__.py").write_text("edited = True\n")
    assert edited_sources(checkout, made) == ["."]
