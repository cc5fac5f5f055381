"""Every script of this folder, played as a person would type it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs.registry import registry
from scripts.script import matches, parse, play

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_prints_what_it_says(path: Path, tmp_path: Path, home: Path) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),  # its own images and containers, and what was downloaded once
        "XDG_CACHE_HOME": str(home / "scripts"),
        "LANG": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_", "PYTHONPATH"))},
    }
    text = path.read_text()
    with contextlib.ExitStack() as running:
        if "$REGISTRY" in text:
            environment["REGISTRY"] = running.enter_context(own_registry())
        running.callback(forget_all, environment)
        play(parse(text), tmp_path, environment)


@contextlib.contextmanager
def own_registry() -> Iterator[str]:
    """A registry of the script's own, where this machine has the program for it."""
    if not shutil.which("docker-registry", path=SYSTEM_PATH):
        pytest.skip("needs docker-registry")
    with registry() as address:
        yield address


def forget_all(environment: dict[str, str]) -> None:
    """Remove what a script that failed left running, for the sake of the next."""
    listed = subprocess.run(["tiffin", "ps", "-a", "--json"], env=environment, capture_output=True, check=True)
    for container in json.loads(listed.stdout):
        subprocess.run(["tiffin", "rm", "-f", container["name"]], env=environment, capture_output=True, check=True)


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
