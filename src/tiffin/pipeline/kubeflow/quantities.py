"""Amounts as Kubernetes writes them (`500m`, `4Gi`), and lengths of time as protobuf does (`30s`)."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?")
_SECONDS = re.compile(r"(\d+(?:\.\d{1,9})?)s")
_SCALES = {"m": Decimal("0.001"), "k": Decimal(10**3), "Ki": Decimal(2**10)} | {
    f"{letter}{suffix}": Decimal(base ** (power + 2))
    for power, letter in enumerate("MGTPE")
    for suffix, base in (("", 10**3), ("i", 2**10))
}


def quantity(text: str) -> Decimal:
    """Read an amount; raises ValueError for what is none."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount such as 500m, 2 or 4Gi")
    return Decimal(match[1]) * (Decimal(10) ** int(match[2] or 0)) * _SCALES.get(match[3] or "", Decimal(1))


def seconds(text: str) -> float:
    """Read a length of time; raises ValueError for what is none."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no length of time such as 30s")
    return float(match[1])
