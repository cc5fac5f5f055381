"""Amounts as Kubernetes writes them: `500m` of a processor, `1Gi` of memory (Kubernetes API, "Quantity")."""

from __future__ import annotations

import re

from tiffin.errors import ConfigError

_CPU = re.compile(r"(?P<amount>\d+(?:\.\d+)?)(?P<milli>m?)")
_MEMORY = re.compile(r"(?P<amount>\d+(?:\.\d+)?)(?P<suffix>[KMGT]i|[kMGT])?")
_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SUFFIXES |= {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_MILLI = 1000


def parse_cpu(text: str) -> float:
    """Read processors, `1.5` or `1500m`; raises ConfigError."""
    found = _CPU.fullmatch(text)
    amount = float(found["amount"]) / (_MILLI if found["milli"] else 1) if found else 0.0
    if not amount:
        raise ConfigError(f"cpu = {text!r} is no number of processors", 'write "1", "1.5" or "500m"')
    return amount


def parse_memory(text: str) -> int:
    """Read bytes of memory, `512Mi` or `2G`; raises ConfigError."""
    found = _MEMORY.fullmatch(text)
    amount = int(float(found["amount"]) * _SUFFIXES[found["suffix"] or ""]) if found else 0
    if not amount:
        raise ConfigError(f"memory = {text!r} is no amount of memory", 'write "512Mi", "2Gi" or "2G"')
    return amount


def write_cpu(cpus: float) -> str:
    """Write processors the shortest way: `2`, `500m`."""
    milli = round(cpus * _MILLI)
    return f"{milli}m" if milli % _MILLI else str(milli // _MILLI)


def write_memory(size: int) -> str:
    """Write bytes in the largest unit of a power of two that leaves nothing over: `1536Mi`, `2Gi`."""
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        if size and not size % _SUFFIXES[suffix]:
            return f"{size // _SUFFIXES[suffix]}{suffix}"
    return str(size)
