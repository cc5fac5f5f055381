"""Files with owners, on disk: a layer once more with those of a range of ids, and what only they may remove."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tiffin.durable import full
from tiffin.engine.embedded.boot import python
from tiffin.engine.embedded.ids import NOBODY, Ids, find
from tiffin.errors import UnavailableError

if TYPE_CHECKING:
    from tiffin.engine.embedded import owned

_FULL = "No space left"


def make_owned(source: Path, target: Path, below: Sequence[Path], ids: Ids) -> None:
    """Copy an unpacked layer into an empty folder, its owners as the layer has them; raises UnavailableError.

    Whose a folder is that the layer itself says nothing of, the trees `below` tell, bottom first.
    """
    first = (0, 0) if ids.me else (ids.uids[0], ids.gids[0])
    said = _run(
        {
            "maps": ids.maps() if ids.me else None,
            "copy": (str(source), str(target)),
            "below": [str(folder) for folder in reversed(below)],
            "remove": "",
            "uids": first[0],
            "gids": first[1],
            "last": ids.count - 1,
            "nobody": min(NOBODY, ids.count - 1),
        }
    )
    if _FULL in said:
        raise full(OSError(said), target.parent)
    if said:
        raise UnavailableError(f"{source.name[:12]} could not get its owners: {said}", "try again")


def discard(path: Path) -> None:
    """Remove a folder, whoever owns what is in it; what cannot be removed is left for the next time."""
    for top, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            Path(top).chmod(stat.S_IRWXU)  # images have folders that nobody may write to
    shutil.rmtree(path, ignore_errors=True)
    if path.exists() and os.geteuid():
        ids = find(os.geteuid(), os.getegid(), confined=False)
        _run(
            {
                "maps": ids.maps() if ids else None,
                "copy": None,
                "below": [],
                "remove": str(path),
                "uids": 0,
                "gids": 0,
                "last": 0,
                "nobody": 0,
            }
        )


def _run(plan: owned.Plan) -> str:
    """Run the process that may; returns what it complains of."""
    done = subprocess.run(
        [*python("owned"), json.dumps(plan)], stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/"
    )
    said = done.stderr.decode(errors="replace").strip()
    return said or f"status {done.returncode}" if done.returncode else ""
