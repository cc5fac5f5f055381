"""Which machine and which programs the figures are of; no names of machines or people."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path


def described() -> str:
    """Describe the machine in a line."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    kernel = ".".join(platform.release().split(".")[:2])
    processor = cpu[1] if cpu else platform.machine()
    return f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB, {release}, kernel {kernel}"


def load() -> float:
    """How many processes wanted a core in the last minute: figures from a busy machine say little."""
    return os.getloadavg()[0]


def version(*argv: str) -> str:
    """Give the first version number in what a program says of itself."""
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else "unknown"
