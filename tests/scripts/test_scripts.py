"""Every script of this folder, played as a person would type it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.script import matches, parse, play

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
@pytest.mark.xdist_group("scripts")
def test_a_script_prints_what_it_says(path: Path, tmp_path: Path, home: Path) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TIFFIN_HOME": str(home),
        "LANG": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_", "PYTHONPATH"))},
    }
    play(parse(path.read_text()), tmp_path, environment)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ([], "", True),
        ([], "x\n", False),
        (["iris@sha256:…"], "iris@sha256:12ab\n", True),
        (["iris@sha256:…"], "other@sha256:12ab\n", False),
        (["a", "…", "b"], "a\n1\n2\nb\n", True),
        (["a", "…", "b"], "a\n1\n2\n", False),
    ],
)
def test_an_ellipsis_stands_for_anything(expected: list[str], printed: str, same: bool) -> None:  # noqa: FBT001 - a table
    assert matches(expected, printed) is same
