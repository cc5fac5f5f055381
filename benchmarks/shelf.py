"""The shelf that pip and uv take wheels from, and a plain environment: what everybody knows how to make."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import uv

from .command import Command
from .project import PINS, Project, Wheel

DEBIAN = "/usr/bin/python3.11"
"""The interpreter that the image has, too."""


def plain_environment(project: Project) -> None:
    """Make the environment that the project is trained in, compiled, where the project says it is."""
    program, folder = uv.find_uv_bin(), project.python.parents[1]
    python = DEBIAN if Path(DEBIAN).exists() else "3.11"
    Command([program, "venv", "--quiet", f"--python={python}", str(folder)]).run()
    options = ["--quiet", f"--python={project.python}", "--no-deps", "--compile-bytecode"]
    Command([program, "pip", "install", *options, "-r", str(project.folder / PINS)]).run()


def fill(shelf: Path, wheels: Iterable[Wheel], cache: Path) -> None:
    """Put wheels on the shelf, out of tiffin's cache, and beside them pip and uv themselves."""
    (shelf / "wheels").mkdir(parents=True)
    (shelf / "tools").mkdir()
    for wheel in set(wheels):
        os.link(cache / wheel.sha256 / wheel.filename, shelf / "wheels" / wheel.filename)
    shutil.copy(uv.find_uv_bin(), shelf / "tools" / "uv")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={shelf}/tools", "pip"]
    Command(download).run()
    next((shelf / "tools").glob("pip-*.whl")).rename(shelf / "tools" / "pip.whl")
