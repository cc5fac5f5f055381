"""How many threads a worker's libraries may use: its share of the processors that there are for the container."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

ALONE = ("sklearn-joblib", "sklearn-pickle", "skops", "xgboost", "lightgbm")
"""Formats that are given one thread however many processors there are: on small batches more cost more than they
give, and who has more processors has more workers."""

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
ONE = ("OPENBLAS_NUM_THREADS", "TF_NUM_INTEROP_THREADS")
"""OpenBLAS starts its threads when numpy is imported, and a process with threads is never forked."""
_OMP = "OMP_NUM_THREADS"


def limit(format_: str, workers: int) -> None:
    """Tell every library that is not imported yet; what the environment says already stays."""
    one_for_each(1 if format_ in ALONE else max(int(processors() / workers), 1))


def one_for_each(count: int = 1) -> None:
    """Set the variables that libraries read when they are imported."""
    given = os.environ.get(_OMP, "")
    for variable in VARIABLES:
        os.environ.setdefault(variable, given if given.isdigit() else str(count))
    for variable in ONE:
        os.environ.setdefault(variable, "1")


def threads() -> int:
    """Say how many a library that does not look at the environment should be told."""
    first = os.environ.get(_OMP, "1").partition(",")[0]  # OpenMP takes one number for each level
    return max(int(first), 1) if first.isdigit() else 1


def processors() -> float:
    """Count the processors there are: what the engine says, else the cgroup's limit, at most those we may run on."""
    said = _number(os.environ.get("TIFFIN_CPUS", ""))
    affinity = float(len(os.sched_getaffinity(0)))
    group = quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return min(found for found in (said, affinity, group) if found)


def quota(root: Path, own: Path) -> Optional[float]:
    """Read the cgroup's limit; in a container our group may be mounted as the root."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for folder in (root / path.strip("/"), root):
                found = _ratio(_read(folder / "cpu.max").split())
                if found:
                    return found
        if "cpu" in controllers.split(","):
            for folder in (root / "cpu" / path.strip("/"), root / "cpu"):
                found = _ratio([_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")])
                if found:
                    return found
    return None


def _ratio(words: "list[str]") -> Optional[float]:
    share, period = [*map(_number, words), None, None][:2]
    return share / period if share and period else None


def _number(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
