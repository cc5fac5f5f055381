"""Numbers of bytes, and how far something is, the way people read them."""

from __future__ import annotations

BYTES = "bytes"
"""The unit of steps that move content."""
_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000


def human_size(size: float) -> str:
    """Write a number of bytes the way people read it, in powers of 1000 as docker does."""
    for unit in _UNITS:
        if size < _THOUSAND or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    raise AssertionError


def amount(done: float, total: float | None, speed: float | None, elapsed: float | None, unit: str) -> str:
    """Say how far a step is: of bytes how many, how fast, and in how many seconds the rest; else for how long it runs.

    >>> amount(1_500_000, 6_000_000, 500_000, 3, "bytes")
    '1.5 MB of 6.0 MB, 500.0 kB/s, 9 s left'
    """
    if unit != BYTES or not total:
        return f"{elapsed or 0:.0f} s"
    rate = f", {human_size(speed)}/s, {max(0, total - done) / speed:.0f} s left" if speed and speed > 0 else ""
    return f"{human_size(done)} of {human_size(total)}{rate}"
