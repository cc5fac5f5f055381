"""Builds a wheel by the hooks of a backend (PEP 517) inside the sandbox: this file is all that goes in with the source.

Standard input is the source as a tar or zip. Standard output gets one line of JSON, which names the wheel whose bytes
follow it, or what the backend needs besides what is there. What the backend prints goes to standard error. The argument
is JSON too: `backend`, `path` (folders to import it from) and `met`, its dynamic requirements that are there.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

SOURCE = Path("/tmp/source")  # noqa: S108 - the sandbox's own
WHEELS = Path("/tmp/wheels")  # noqa: S108 - the sandbox's own


def main() -> None:
    """Build the wheel, or say what is missing for it."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the backend prints is for people
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with what it says of errors
    sys.dont_write_bytecode = True
    told = json.loads(sys.argv[1])
    folder = unpacked(sys.stdin.buffer.read())
    os.chdir(folder)
    sys.path[:0] = [str(folder / path) for path in told["path"]]
    hooks = named(told["backend"])
    more = list(getattr(hooks, "get_requires_for_build_wheel", lambda _: [])(None))
    if set(more) - set(told["met"]):
        answer.write(json.dumps({"requires": more}).encode() + b"\n")
    else:
        WHEELS.mkdir()
        name = hooks.build_wheel(str(WHEELS), None)
        answer.write(json.dumps({"wheel": name}).encode() + b"\n" + (WHEELS / name).read_bytes())
    answer.close()


def unpacked(data: bytes) -> Path:
    """Unpack the source and return its folder; wherever a member wants to go, nothing but this sandbox is there."""
    SOURCE.mkdir()
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(SOURCE)  # noqa: S202 - see above
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(SOURCE)  # noqa: S202 - see above
    inner = list(SOURCE.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else SOURCE


def named(backend: str) -> Any:
    """Import a backend: a module, and what in it has the hooks."""
    module, _, names = backend.partition(":")
    found: Any = importlib.import_module(module)
    for name in filter(None, names.split(".")):
        found = getattr(found, name)
    return found


if __name__ == "__main__":
    main()
