"""Who keeps a container, and how that process stands in the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path


def keeper(program: int) -> int:
    """The keeper of a container's first process: the parent of the bubblewrap that is its parent."""
    return parent(parent(program))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def standing(keeper: int, command: int) -> dict[str, object]:
    """How a process stands in the machine: what it holds, what it does not hear, where it is, whose it is."""
    proc = Path(f"/proc/{keeper}")
    held = [path.readlink() for path in (proc / "fd").iterdir() if path.name != "0"]
    status = (proc / "status").read_text().splitlines()
    above, *leads = (proc / "stat").read_text().rpartition(")")[2].split()[1:4]
    return {
        "held": sorted(re.sub(r"[0-9a-f]{12}|\d+|/memfd.*", "N", str(path)) for path in held),
        "status": [line for line in status if re.match("SigBlk|SigIgn|Umask|Uid|Gid|Groups|Threads|NoNewPrivs", line)],
        "folder": re.sub("containers/[0-9a-f]+", "containers/ID", str((proc / "cwd").readlink())),
        "apart": above != str(command) and not {*leads} & {str(command), str(os.getpgrp()), str(os.getsid(0))},
    }
