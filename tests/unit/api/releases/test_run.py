"""What is typed of a release: what goes on after a stop, and what makes no sense is refused before anything is done."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tiffin.api.releases.run import Order, command_of, plan, release
from tiffin.errors import ConfigError, ConflictError, NotFoundError
from tiffin.release.plan import Asked

PROJECT = """
name = "iris"
[model]
path = "model.joblib"
[release]
push = "registry.example/team/iris"
environments = ["staging", "production"]
[environment.staging]
name = "iris-staging"
[environment.production]
approval = true
"""
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path / "home"))
    (tmp_path / "tiffin.toml").write_text(PROJECT)
    return tmp_path


def no_passphrase() -> bytes:
    raise AssertionError


def test_the_command_that_goes_on_says_what_was_typed(project: Path) -> None:
    asked = Asked(skip=("scan",), approve=("production",))
    order = Order(folder=project, asked=asked, key="my key")
    said = f"tiffin release --skip scan --key 'my key' --approve production {project}"
    assert command_of(order, plan(order)) == said
    monkey = Order(folder=project, to="production", image=f"registry.example/team/iris@{DIGEST}")
    assert command_of(monkey, plan(monkey)) == f"tiffin release --to production registry.example/team/iris@{DIGEST}"


def test_a_key_that_is_typed_is_one_to_sign_with(project: Path) -> None:
    assert "sign" not in {step.name for step in plan(Order(folder=project)).steps}
    assert "sign" in {step.name for step in plan(Order(folder=project, key="team.key")).steps}


def test_a_promotion_is_by_digest_and_chooses_no_steps(project: Path) -> None:
    with pytest.raises(ConfigError, match="may be another image tomorrow"):
        plan(Order(folder=project, to="production", image="registry.example/team/iris:latest"))
    with pytest.raises(ConfigError, match="`--to` has one step"):
        plan(Order(folder=project, to="production", image=f"iris@{DIGEST}", asked=Asked(skip=("scan",))))
    with pytest.raises(ConfigError, match="is released already"):
        plan(Order(folder=project, image=f"iris@{DIGEST}"))
    with pytest.raises(NotFoundError, match="no environment"):
        plan(Order(folder=project, to="nowhere"))


def test_a_second_release_at_the_same_time_is_refused(project: Path) -> None:
    folder = project / "home" / "data" / "releases" / "iris"
    folder.mkdir(parents=True)
    with (folder / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another release of iris is under way"):
            release(Order(folder=project), no_passphrase)
