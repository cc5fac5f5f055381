"""Families of samples as text: Prometheus' format 0.0.4, or OpenMetrics 1.0 for those who ask for it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from math import inf, isnan
from typing import NamedTuple

from tiffin_serve.front.metrics.histogram import Histogram

PLAIN = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
OPEN = b"content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
Labels = Mapping[str, str]
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(NamedTuple):
    """One value of a family: a number, or a histogram that becomes several lines."""

    labels: Labels
    value: float | Histogram


class Family(NamedTuple):
    """Samples of one name; a counter's name ends in `_total`."""

    name: str
    kind: str
    meaning: str
    samples: list[Sample]


def text(families: Iterable[Family], *, openmetrics: bool = False) -> str:
    """Write families that have samples; OpenMetrics names a counter's family without `_total` and marks the end."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            strip = openmetrics and family.kind == "counter"
            name = family.name.removesuffix("_total") if strip else family.name
            lines += (f"# HELP {name} {family.meaning}", f"# TYPE {name} {family.kind}")
            for sample in family.samples:
                lines += _lines(family.name, sample)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""])


def _lines(name: str, sample: Sample) -> Iterable[str]:
    value = sample.value
    if not isinstance(value, Histogram):
        return (f"{name}{_braces(sample.labels)} {number(value)}",)
    bounds = zip((*value.bounds, inf), value.cumulative(), strict=True)
    return (
        *(f"{name}_bucket{_braces({**sample.labels, 'le': number(float(le))})} {count}" for le, count in bounds),
        f"{name}_sum{_braces(sample.labels)} {number(value.total)}",
        f"{name}_count{_braces(sample.labels)} {value.count}",
    )


def _braces(labels: Labels) -> str:
    pairs = ",".join([f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items()])
    return f"{{{pairs}}}" if pairs else ""


def number(value: float) -> str:
    """Write a number as the formats want it: whole numbers as such, `+Inf`, `-Inf` and `NaN` by these names."""
    if isinstance(value, int):
        return str(value)
    if isnan(value):
        return "NaN"
    return repr(value) if abs(value) != inf else "+Inf" if value > 0 else "-Inf"


def prefers_openmetrics(accept: bytes) -> bool:
    """Say whether a scraper would rather have OpenMetrics than plain text (RFC 9110, section 12.5.1)."""
    wanted = _qualities(accept)
    ours = wanted.get("application/openmetrics-text", 0.0)
    return ours > 0 and ours >= max(wanted.get("text/plain", 0.0), 0.0)


def takes_gzip(accept: bytes) -> bool:
    """Say whether a scraper reads gzip."""
    wanted = _qualities(accept)
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0


def gzip(data: bytes) -> bytes:
    """Compress quickly; there is no time in it, so the same text is the same bytes."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def _qualities(header: bytes) -> dict[str, float]:
    """Read the names of an Accept header with the best quality that each is given."""
    found: dict[str, float] = {}
    for part in header.decode("latin-1").lower().split(","):
        name, *parameters = [piece.strip() for piece in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _quality(parameter[2:])
        found[name] = max(found.get(name, 0.0), quality)
    return found


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def together(each: Iterable[tuple[Labels, Iterable[Family]]]) -> list[Family]:
    """Put the families of several together, once each: every sample has the labels of who it is from."""
    found: dict[str, Family] = {}
    for labels, families in each:
        for family in families:
            whole = found.setdefault(family.name, family._replace(samples=[]))
            whole.samples.extend(Sample({**sample.labels, **labels}, sample.value) for sample in family.samples)
    return list(found.values())
