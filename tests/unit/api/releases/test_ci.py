"""`ci init` writes at the top of the repository, the same bytes each time, and over nobody else's file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tiffin.api.releases.ci import init
from tiffin.errors import ConfigError, ConflictError

PROJECT = 'name = "iris"\n[model]\npath = "model.joblib"\n'
FILES = {"github": ".github/workflows/tiffin.yml", "gitlab": ".gitlab-ci.yml"}


@pytest.fixture(params=FILES)
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tiffin.toml").write_text(PROJECT)
    return tmp_path


def test_the_file_is_written_and_written_again_without_a_change(project: Path, system: str) -> None:
    path = project / FILES[system]
    assert init(project, system) == str(path)
    first, when = path.read_bytes(), path.stat().st_mtime_ns
    assert init(project, system) == str(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (first, when)


def test_a_change_of_the_project_is_written_over_what_was_written_before(project: Path, system: str) -> None:
    init(project, system)
    (project / "tiffin.toml").write_text(PROJECT + '[release]\npush = "registry.example/team/iris"\n')
    init(project, system)
    assert "registry.example" in (project / FILES[system]).read_text()


def test_a_file_that_somebody_wrote_or_changed_stays_unless_it_is_forced(project: Path, system: str) -> None:
    path = Path(init(project, system))
    for text in ("name: mine\n", path.read_text() + "# and more\n"):
        path.write_text(text)
        with pytest.raises(ConflictError, match="was not written by") as refused:
            init(project, system)
        assert f"`tiffin ci init --{system} --force`" in str(refused.value.hint)
        assert path.read_text() == text
    init(project, system, force=True)
    assert "tiffin release" in path.read_text()


@pytest.mark.program("git")
def test_it_lies_at_the_top_of_the_repository_and_names_the_project_s_folder(tmp_path: Path, system: str) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "models" / "iris").mkdir(parents=True)
    (tmp_path / "models" / "iris" / "tiffin.toml").write_text(PROJECT)
    path = init(tmp_path / "models" / "iris", system)
    assert Path(path).resolve() == (tmp_path / FILES[system]).resolve()
    assert "models/iris --junit" in Path(path).read_text()


def test_what_cannot_be_released_gets_no_file(project: Path, system: str) -> None:
    same = '[release]\nenvironments = ["a", "b"]\n[environment.a]\n[environment.b]\n'
    (project / "tiffin.toml").write_text(PROJECT + same)
    with pytest.raises(ConfigError, match="the same service"):
        init(project, system)
    assert not (project / FILES[system]).exists()
