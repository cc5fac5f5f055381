"""Families of samples as text that Prometheus reads: its format 0.0.4, or OpenMetrics 1.0 for who prefers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
Sample = tuple[Mapping[str, str], float]


class Family(NamedTuple):
    """Samples of one name by their labels; a counter's name ends in `_total`."""

    name: str
    kind: str
    meaning: str
    samples: Sequence[Sample]


def text(families: Iterable[Family], *, openmetrics: bool = False) -> str:
    """Write families that have samples; OpenMetrics names a counter's family without `_total`, and marks the end."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            shorter = openmetrics and family.kind == "counter"
            name = family.name.removesuffix("_total") if shorter else family.name
            lines += (f"# HELP {name} {family.meaning}", f"# TYPE {name} {family.kind}")
            lines += (f"{family.name}{_braces(labels)} {_number(value)}" for labels, value in family.samples)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""])


def _braces(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def prefers_openmetrics(accept: str) -> bool:
    """Say whether OpenMetrics is liked at least as much as plain text (RFC 9110, section 12.5.1)."""
    qualities = dict(_quality(part) for part in accept.lower().split(","))
    ours = qualities.get("application/openmetrics-text", 0.0)
    return ours > 0 and ours >= qualities.get("text/plain", 0.0)


def _quality(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    said = [value for key, _, value in (one.partition("=") for one in parameters) if key == "q"]
    try:
        return name, float(said[0]) if said else 1.0
    except ValueError:
        return name, 0.0
