"""Where a project comes from: its commit, and the version that a tag gives it, as a CI system or git says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tiffin.progress import note
from tiffin.release.plan import Source

_SECONDS = 30
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*(?:[-+.]?[0-9A-Za-z.+-]+)?)")


def source_of(folder: Path, environment: Mapping[str, str]) -> Source:
    """Ask the CI system that runs this, and git where none does; a folder without either has no source."""
    if commit := environment.get("GITHUB_SHA", ""):
        is_tag = environment.get("GITHUB_REF_TYPE") == "tag"
        name = environment.get("GITHUB_REF_NAME", "")
        return Source(commit=commit, version=version_of(name) if is_tag else "", branch="" if is_tag else name)
    if commit := environment.get("CI_COMMIT_SHA", ""):
        version = version_of(environment.get("CI_COMMIT_TAG", ""))
        return Source(commit=commit, version=version, branch=environment.get("CI_COMMIT_BRANCH", ""))
    commit = _git(folder, "rev-parse", "HEAD")
    branch = _git(folder, "branch", "--show-current")
    if commit and _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "."):
        note("what is released is not what is committed: tags with its commit or version are left out")
        return Source(branch=branch)
    if not commit:
        return Source()
    tag = _git(folder, "describe", "--exact-match", "--tags", "HEAD")
    return Source(commit=commit, version=version_of(tag), branch=branch)


def version_of(tag: str) -> str:
    """The version that a tag such as `v1.2.3` means; empty for one that means none."""
    found = _VERSION.fullmatch(tag)
    return found[1] if found else ""


def _git(folder: Path, *words: str) -> str:
    """What git says, or nothing where there is no git or no repository."""
    program = shutil.which("git")
    if not program:
        return ""
    done = subprocess.run(
        [program, "-C", str(folder), *words], capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    return done.stdout.strip() if done.returncode == 0 else ""
