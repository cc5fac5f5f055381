"""Who builds, and on what kind of machine: other users, other settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

NOBODY = 65534
ELSEWHERE = {
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "PYTHONHASHSEED": "12345",
    "SOURCE_DATE_EPOCH": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Builder(msgspec.Struct, frozen=True, kw_only=True):
    """Who builds: an interpreter, what is on its path, and the numbers of another user."""

    python: str
    path: list[str]
    user: int | None = None


def somebody(user: int) -> Builder:
    """Find an interpreter that another user can run, and that finds all packages; skips where there is none."""
    path = [entry for entry in sys.path if entry]
    needed = "tiffin.api.building.build, tiffin.engine.embedded.engine, isal, deflate, pysequoia, urllib3, click, rich"
    packages = [entry for entry in path if not entry.startswith(sys.base_prefix)]
    for python, found in ((sys.executable, path), ("/usr/bin/python3", packages)):
        try:
            tried = subprocess.run(
                [python, "-c", f"import {needed}"],
                env={"PYTHONPATH": os.pathsep.join(found)},
                cwd="/",
                user=user,
                group=user,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
        except PermissionError:
            continue
        if not tried.returncode:
            return Builder(python=python, path=found, user=user)
    pytest.skip("needs an interpreter that others can run")


def give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)
