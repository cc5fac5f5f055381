"""Metrics over runs as SVG: one small plot a metric, all on the same runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

import msgspec

from tiffin.pipeline.pictures.svg import document

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 640.0, 110.0, 64.0, 56.0, 46.0
_DOT = 3.5


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one run gave: its name, and numbers by what they are called (`evaluate.accuracy`)."""

    run: str
    numbers: dict[str, float]


def names_of(runs: Sequence[Measured]) -> list[str]:
    """Everything that was measured in any of them, in the order in which it first was."""
    return list(dict.fromkeys(name for run in runs for name in run.numbers))


def plot(title: str, runs: Sequence[Measured]) -> str:
    """Draw what was measured, the oldest run first; a run without a number leaves a gap."""
    names = names_of(runs)
    body = ['<rect class="page" width="100%" height="100%"/>']
    body.append(f'<text class="head" x="20" y="30">{escape(title)}</text>')
    for number, name in enumerate(names):
        body += _panel(name, runs, _TOP + number * (_HEIGHT + _GAP))
    height = _TOP + len(names) * (_HEIGHT + _GAP)
    return document(_LEFT + _WIDTH + 30, height, title, body)


def _panel(name: str, runs: Sequence[Measured], top: float) -> Iterator[str]:
    found = [(place, run, run.numbers[name]) for place, run in enumerate(runs) if name in run.numbers]
    values = [value for _, _, value in found]
    low, high = min(values), max(values)
    spread = high - low or abs(high) or 1.0
    step = _WIDTH / max(len(runs) - 1, 1)

    def at(place: int, value: float) -> tuple[float, float]:
        share = (value - low) / spread if high != low else 0.5
        return _LEFT + place * step, top + 16 + (1 - share) * (_HEIGHT - 16)

    bottom = top + _HEIGHT
    yield f'<text class="name" x="{_LEFT:.0f}" y="{top + 4:.0f}">{escape(name)}</text>'
    yield f'<path class="way" d="M{_LEFT:.0f} {bottom + 6:.0f}h{_WIDTH:.0f}"/>'
    for value in dict.fromkeys((high, low)):
        y = at(0, value)[1]
        yield f'<text class="words" text-anchor="end" x="{_LEFT - 10:.0f}" y="{y + 4:.1f}">{value:.4g}</text>'
    points = [at(place, value) for place, _, value in found]
    yield f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    for (_, run, value), (x, y) in zip(found, points, strict=True):
        title = f"<title>{escape(run.run)}: {value:.6g}</title>"
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}">{title}</circle>'
