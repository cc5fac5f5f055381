"""Run hostile cases one by one, each in a process of its own with a deadline, a limit of memory and a canary beside it.

    python -m corpus.sandbox TABLE

A case gets a folder with what it reads (`in`), where its reader may write (`target`), and things that nobody may touch:
`outside`, an empty home, an empty place for temporary files and an empty working directory. Prints a line of JSON for
each case. The process is forked by this single-threaded program, so that thousands of cases cost no start-up.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpus.case import Case, Made, Result
from corpus.readers import READERS
from tiffin.errors import TiffinError

PROCESSOR_SECONDS = 60
"""What a case may use of a processor."""
DEADLINE = 300.0
"""Seconds after which a case hangs, on however busy a machine."""
MEMORY = 768 << 20
"""Bytes of data a case may have at once, all of what the interpreter has already among them."""
LARGEST_FILE = 256 << 20
"""Bytes of the largest file that may be written."""
PRECIOUS = "untouched"


def watched(root: Path) -> dict[str, str]:
    """Say what everything in a folder is, links unfollowed, but for what a reader may write."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.partition("/")[0] == "target":
            continue
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[name] = f"{status.st_mode:o} {status.st_nlink if stat.S_ISREG(status.st_mode) else ''} {content}"
    return found


def strange(target: Path) -> list[str]:
    """Name what has no business in an image: devices, fifos, sockets, set-id files, and files linked from outside."""
    found = []
    for folder, folders, files in os.walk(target):
        for name in [*folders, *files]:
            mode = os.lstat(os.path.join(folder, name)).st_mode  # noqa: PTH118 - names may be no UTF-8
            plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
            if not plain or mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(f"target: {os.path.join(folder, name)!r}")  # noqa: PTH118 - as above
    return found


def write(place: Path, data: Made) -> None:
    """Write a file, or a folder of files."""
    if not isinstance(data, Mapping):
        place.write_bytes(data)
        return
    place.mkdir()
    for name, content in data.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


def run(case: Case) -> Result:
    """Let a process read the case and say what became of it."""
    with tempfile.TemporaryDirectory(prefix="corpus-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        for name in ("in", "target", "outside", "home", "tmp", "cwd"):
            (root / name).mkdir()
        (root / "outside" / "precious").write_text(PRECIOUS)
        write(root / "in" / case.file, case.make(root / "outside"))
        before = watched(root)
        told, memory, ended = _in_process(lambda: _read(case, root))
        after = watched(root)
        changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
        return Result(case=case.name, changed=(*changed, *strange(root / "target")), memory=memory, ended=ended, **told)


def _read(case: Case, root: Path) -> dict[str, str]:
    os.environ.update(HOME=str(root / "home"), TMPDIR=str(root / "tmp"), TIFFIN_HOME=str(root / "target" / "home"))
    tempfile.tempdir = None
    os.chdir(root / "cwd")
    try:
        READERS[case.reader](root / "in" / case.file, root / "target")
    except TiffinError as error:
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint or ""}
    except BaseException as error:  # noqa: BLE001 - that it is no error of ours is what the test says
        return {"error": f"{type(error).__module__}.{type(error).__qualname__}", "message": repr(error), "hint": ""}
    return {"error": "", "message": "", "hint": ""}


def _in_process(work: Callable[[], dict[str, str]]) -> tuple[dict[str, Any], int, str]:
    """Work in a process with limits; returns what it said, the bytes of memory it had at most, and how it ended."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.close(out)
        signal.alarm(int(DEADLINE) + 5)
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        with os.fdopen(into, "w") as pipe:
            pipe.write(json.dumps(work()))
        os._exit(0)
    os.close(into)
    text, ended = _received(out), "whole"
    if text is None:
        os.kill(child, signal.SIGKILL)
        ended = "out of time"
    _, status, used = os.wait4(child, 0)
    if text is not None and status:
        ended = f"status {status}"
    told = json.loads(text) if text else {"error": "", "message": "", "hint": ""}
    return told, used.ru_maxrss << 10, ended


def _received(out: int) -> str | None:
    """What comes out of a pipe until it is closed; None where that takes too long."""
    parts, end = [], time.monotonic() + DEADLINE
    with os.fdopen(out, "rb") as pipe:
        while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            if not (data := os.read(pipe.fileno(), 1 << 16)):
                return b"".join(parts).decode()
            parts.append(data)
    return None


def main(table: str) -> None:
    """Run every case of a table."""
    from corpus.tables import TABLES  # noqa: PLC0415 - tables import what makes them, which is not needed elsewhere

    for case in TABLES[table]():
        print(json.dumps(asdict(run(case))), flush=True)  # noqa: T201 - this is its output


if __name__ == "__main__":
    main(sys.argv[1])
