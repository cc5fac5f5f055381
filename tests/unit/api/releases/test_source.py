"""Where a project comes from: as a CI system says, and as git says where none does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tiffin.api.releases.source import source_of, version_of
from tiffin.progress import Event, Noted, listening
from tiffin.release.plan import Source


def test_a_commit_is_what_the_ci_system_says(tmp_path: Path) -> None:
    github = {"GITHUB_SHA": "a" * 40, "GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v1.2.3"}
    assert source_of(tmp_path, github) == Source(commit="a" * 40, version="1.2.3")
    branch = {"GITHUB_SHA": "a" * 40, "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "main"}
    assert source_of(tmp_path, branch) == Source(commit="a" * 40, branch="main")
    gitlab = {"CI_COMMIT_SHA": "b" * 40, "CI_COMMIT_TAG": "2.0"}
    assert source_of(tmp_path, gitlab) == Source(commit="b" * 40, version="2.0")
    assert source_of(tmp_path, {}) == Source()


@pytest.mark.parametrize(
    ("tag", "version"), [("v1.2.3", "1.2.3"), ("1.0", "1.0"), ("v2.0.0-rc.1", "2.0.0-rc.1"), ("stable", ""), ("", "")]
)
def test_a_version_is_what_a_tag_says(tag: str, version: str) -> None:
    assert version_of(tag) == version


@pytest.mark.program("git")
def test_a_commit_is_what_git_says_and_nothing_else_is_called_by_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=dana", "-c", "user.email=dana@example.org"]
        argv = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    (tmp_path / "tiffin.toml").write_text("")
    git("add", "tiffin.toml")
    git("commit", "--quiet", "--message", "first")
    commit = git("rev-parse", "HEAD")
    assert source_of(tmp_path, {}) == Source(commit=commit, branch="main")
    git("tag", "v1.2.3")
    (tmp_path / "model.joblib").write_text("not committed, as weights often are not")
    assert source_of(tmp_path, {}) == Source(commit=commit, version="1.2.3", branch="main")
    (tmp_path / "tiffin.toml").write_text("changed")
    heard: list[Event] = []
    with listening(heard.append):
        assert source_of(tmp_path, {}) == Source(branch="main")
    assert [event.message for event in heard if isinstance(event, Noted)] == [
        "what is released is not what is committed: tags with its commit or version are left out"
    ]
