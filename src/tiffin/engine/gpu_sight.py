"""Looking at this machine's GPUs: the rim of `gpus`."""

from __future__ import annotations

import re
from pathlib import Path

from tiffin.engine.cdi_files import cdi_folders, read_specs
from tiffin.engine.gpus import Sight

PROC = Path("/proc/driver/nvidia")
_VERSION = re.compile(r"\b(\d+\.\d+(?:\.\d+)?)\b")


def gpu_sight(proc: Path = PROC) -> Sight:
    """Look at this machine."""
    return Sight(known=read_specs(cdi_folders()), driver=driver_version(proc))


def driver_version(proc: Path = PROC) -> str:
    """The version of NVIDIA's driver that is loaded; empty where there is none, `unknown` where it does not say."""
    if not proc.is_dir():
        return ""
    try:
        found = _VERSION.search((proc / "version").read_text(errors="replace"))
    except OSError:
        return "unknown"
    return found[1] if found else "unknown"
