"""The packages of peers that bring a server: downloaded once, served on loopback, installed in environments of theirs.

Their Dockerfiles run `pip install` or `uv pip install` over a network. A folder of wheels behind HTTP stands for it, so
that nothing is downloaded while anything is timed. Versions are whatever the package index gave on the day; the
page tells them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uv
from tests.programs.process import started
from tests.programs.service import answers

from .command import Command
from .ports import free_port
from .shelf import DEBIAN


@dataclass(frozen=True)
class Served:
    """A folder of wheels and the address that it is served at."""

    folder: Path
    address: str

    def environment(self, folder: Path, pins: Path) -> Path:
        """Make an environment of pinned packages; returns the folder of its programs."""
        Command([uv.find_uv_bin(), "venv", "--quiet", f"--python={DEBIAN}", str(folder)]).run()
        install = [uv.find_uv_bin(), "pip", "install", "--quiet", f"--python={folder}/bin/python"]
        Command([*install, "--no-index", f"--find-links={self.folder}", "-r", str(pins)]).run()
        return folder / "bin"

    def add(self, packages: Sequence[str], constraints: Path) -> Path:
        """Resolve packages beside a lock and download all; returns the file that pins them."""
        names = self.folder.with_name(f"{packages[0]}.in")
        pins = names.with_suffix(".txt")
        names.write_text("".join(f"{package}\n" for package in packages) + constraints.read_text())
        options = ["--quiet", "--python-version=3.11", "--no-annotate", "--no-header", f"--output-file={pins}"]
        Command([uv.find_uv_bin(), "pip", "compile", *options, str(names)]).run()
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        Command([*pip, f"--wheel-dir={self.folder}", f"--find-links={self.folder}", "-r", str(pins)]).run()
        return pins


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve a folder while the block runs."""
    folder.mkdir()
    port = free_port()
    address = f"127.0.0.1:{port}"
    argv = [sys.executable, "-m", "http.server", "--bind=127.0.0.1", f"--directory={folder}", str(port)]
    with started(argv, folder.with_name("served.log"), lambda: answers(address, "/")):
        yield Served(folder, address)


def pinned_version(pins: Path, package: str) -> str:
    """Read a version out of a file of pins."""
    lines = (line.partition("==") for line in pins.read_text().splitlines())
    return next(version.split()[0] for name, _, version in lines if name == package)
