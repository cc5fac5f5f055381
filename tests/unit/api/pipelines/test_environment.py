"""When an environment is known without asking anything again: by all bytes that decide it, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import PIPELINE, code_of, language_of, witness
from tiffin.oci.digest import Digest

PROJECT = 'name = "iris"\n[model]\npath = "model.onnx"\n[python]\nrequirements = "requirements.txt"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "requirements.txt").write_text("scipy  # see https://here\n# -r nothing\nnumpy==2\n")
    (folder / "pylock.tiffin.toml").write_text("lock\n")
    (folder / PIPELINE).write_text("steps\n")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["tiffin.toml", "requirements.txt", "pylock.tiffin.toml"])
def test_each_byte_of_what_decides_it_makes_another(folder: Path, name: str) -> None:
    before = witness(Checkout.of(folder))
    assert before == witness(Checkout.of(folder))
    (folder / name).write_text((folder / name).read_text() + "# more\n")
    assert witness(Checkout.of(folder)) not in {before, None}


@pytest.mark.parametrize("line", ["-r more.txt", "  -c limits.txt", "./package", "mine @ file:///mine", "--no-index"])
def test_requirements_that_lead_to_other_files_are_read_each_time(folder: Path, line: str) -> None:
    (folder / "requirements.txt").write_text(f"scipy\n{line}\n")
    assert witness(Checkout.of(folder)) is None
    (folder / "tiffin.toml").write_text(
        f'name = "iris"\n[model]\npath = "m"\n[python]\ndependencies = ["{line.strip()}"]\n'
    )
    assert witness(Checkout.of(folder)) is None


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "environment.yml"])
def test_requirements_of_other_tools_are_read_each_time(folder: Path, name: str) -> None:
    (folder / name).write_text("x\n")
    (folder / "tiffin.toml").write_text(PROJECT.replace("requirements.txt", name))
    assert witness(Checkout.of(folder)) is None


def test_what_was_built_from_source_is_looked_at_each_time(folder: Path) -> None:
    (folder / "pylock.tiffin.toml").write_text('[[packages]]\nname = "mine"\n[packages.tool.tiffin]\n')
    assert witness(Checkout.of(folder)) is None


def test_without_a_lock_nothing_is_known(folder: Path) -> None:
    (folder / "pylock.tiffin.toml").unlink()
    assert witness(Checkout.of(folder)) is None


def test_code_is_what_the_image_has_and_what_is_added_and_never_the_model(folder: Path, home: Home) -> None:
    (folder / "tiffin.toml").write_text(
        'name = "iris"\n[model]\npath = "model"\ntraining-data = "rows.csv"\n[image]\ninclude = ["package/**/*"]\n'
    )
    for name in (
        "package/a.py",
        "package/.hidden/b.py",
        "model/weights.bin",
        "rows.csv",
        "queries/one.sql",
        "other.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    kept = code_of(folder, home, (PIPELINE, "queries/*", "model/*", "*.csv")).path
    found = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
    assert found == ["package/a.py", "pipeline.py", "queries/one.sql"]


def test_the_language_lies_where_every_container_may_read_it(home: Home) -> None:
    made = []

    def compiled(sources: object) -> dict[str, bytes]:
        made.append(sources)
        return {"tiffin_pipeline/__pycache__/main.cpython-311.pyc": b"bytecode"}

    environment = Digest.of(b"environment")
    kept = language_of(home, environment, compiled)
    assert language_of(home, environment, compiled) == kept
    assert len(made) == 1
    assert (kept.path / "tiffin_pipeline/__main__.py").is_file()
    assert (kept.path / "tiffin_pipeline/__pycache__/main.cpython-311.pyc").read_bytes() == b"bytecode"
    assert not (language_of(home).path / "tiffin_pipeline/__pycache__").exists()
