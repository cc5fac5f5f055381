"""Everything again without root: the same tests in a process of an unprivileged user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

USER = 23456
TESTS = Path(__file__).parents[2]
AGAIN = ["contract/test_engine.py", "unit/engine/test_isolation.py", "unit/engine/test_lifecycle.py"]


def as_user(argv: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(sys.path)} | more
    return subprocess.run(
        argv,
        user=USER,
        group=USER,
        extra_groups=[],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


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
def test_an_ordinary_user_needs_no_root_for_any_of_this(tmp_path: Path) -> None:
    python = interpreter()
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, USER, USER)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    files = [str(TESTS / name) for name in AGAIN]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={own}/base", f"--rootdir={TESTS.parent}"]
    done = as_user([python, "-B", "-m", "pytest", *options, *files], PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1] or "needs root" in done.stdout
