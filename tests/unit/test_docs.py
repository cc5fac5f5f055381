"""Pages that are made from the code are what the code would make now, and the README keeps its word."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.script import parse, play

ROOT = Path(__file__).parents[2]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", generator().pages(), ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.read_text() == generator().pages()[path], "`make docs` writes it anew"


def test_the_first_screen_of_the_readme_does_what_it_says(tmp_path: Path, home: Path) -> None:
    shutil.copytree(ROOT / "examples" / "iris", tmp_path / "iris", ignore=shutil.ignore_patterns("model.joblib"))
    subprocess.run([sys.executable, tmp_path / "iris" / "train.py"], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    first_screen = (ROOT / "README.md").read_text().partition("And then")[0].replace("8080", port)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TIFFIN_HOME": str(home)}
    try:
        play(parse(first_screen), tmp_path, environment)
    finally:
        subprocess.run([sys.executable, "-m", "tiffin", "rm", "-f", "iris"], env=environment, check=False)
