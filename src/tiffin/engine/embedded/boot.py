"""How a program of this package is begun: a bare interpreter, and a plan that no command line shows."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SOURCES = str(Path(__file__).parents[3])
"""Where the package `tiffin` lies; the program gets this folder last on its path."""
_BOOT = "import sys; sys.path.append({sources!r}); from tiffin.engine.embedded.{module} import main; main()"


def python(module: str) -> list[str]:
    """The command that runs `main()` of a module of this package with a bare interpreter: no site, no environment."""
    return [sys.executable, "-I", "-S", "-c", _BOOT.format(sources=SOURCES, module=module)]


@contextlib.contextmanager
def paper(plan: Mapping[str, object]) -> Iterator[int]:
    """Write a plan where only a descriptor leads: a command line could be read by every user of the machine."""
    descriptor = os.memfd_create("tiffin")
    try:
        os.write(descriptor, json.dumps(plan).encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
