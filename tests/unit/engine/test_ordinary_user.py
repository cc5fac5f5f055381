"""Everything again without root: the same tests in a process of an unprivileged user."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

USER = 23456
TESTS = Path(__file__).parents[2]
AGAIN = [
    "unit/api/containers/test_warm.py",
    *(f"contract/test_engine{name}.py" for name in ("", "_interactive", "_limits", "_programs", "_volumes")),
    *(f"contract/test_workbench{name}.py" for name in ("", "_hermetic")),
    *(
        f"unit/engine/test_{name}.py"
        for name in ("isolation", "lifecycle", "exec", "copy", "hostile_programs", "killed_starts", "one_id")
    ),
]


def as_user(argv: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(sys.path)}
    become = {"user": USER, "group": USER, "extra_groups": ()}
    return subprocess.run(argv, **become, env=environment, cwd="/", capture_output=True, text=True, check=False)


def interpreter() -> str:
    """A Python that an unprivileged user may run and that finds what this one has; else a skip."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            if as_user([python, "-c", "import pytest, msgspec, tiffin.engine.spec"]).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("needs a Python and a checkout that an ordinary user may read")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_an_ordinary_user_needs_no_root_for_any_of_this() -> None:
    python = interpreter()
    files = [str(TESTS / name) for name in AGAIN]
    with tempfile.TemporaryDirectory(prefix="tiffin-") as own:  # pytest's own folders are closed to other users
        os.chown(own, USER, USER)
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            f"--basetemp={own}/base",
            f"--rootdir={TESTS.parent}",
        ]
        done = as_user([python, "-B", "-m", "pytest", *options, *files])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1] or "needs root" in done.stdout
