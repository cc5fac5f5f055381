"""An environment for each server: their dependencies exclude one another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import uv

from benchmarks.command import Command

DEBIAN = "/usr/bin/python3.11"
READY = ".ready"


def environment(cache: Path, name: str, requirements: Sequence[str]) -> Path:
    """Make an environment where there is none with these packages; gives the folder of its programs."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]
    folder = cache / "environments" / f"{name}-{digest}"
    if not (folder / READY).exists():
        program = uv.find_uv_bin()
        python = DEBIAN if Path(DEBIAN).exists() else "3.11"
        Command([program, "venv", "--quiet", "--clear", f"--python={python}", str(folder)]).run()
        install = ["pip", "install", "--quiet", "--compile-bytecode", f"--python={folder}/bin/python"]
        Command([program, *install, *requirements]).run()
        (folder / READY).touch()
    return folder / "bin"


def versions(programs: Path, names: Sequence[str]) -> dict[str, str]:
    """Tell which versions of some packages an environment has."""
    listed = Command([uv.find_uv_bin(), "pip", "freeze", "--quiet", f"--python={programs}/python"]).run()
    pairs = (line.partition("==")[::2] for line in listed.splitlines())
    return {name: version for name, version in pairs if name in names}
