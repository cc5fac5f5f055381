"""Pages that are made from the code are what the code would make now, and pages keep their word."""

from __future__ import annotations

import importlib.util
import os
import re
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


PAGES = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "spec", ROOT / "examples")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_leads_to_pages_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_architecture_speaks_of_modules_that_are_there() -> None:
    modules = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", (ROOT / "ARCHITECTURE.md").read_text())
    folders = (ROOT, ROOT / "src", ROOT / "src" / "tiffin")
    assert modules
    assert [module for module in modules if not any((folder / module).is_file() for folder in folders)] == []


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
