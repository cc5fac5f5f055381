"""A report as a picture: latency by quantile, as HdrHistogram's plots show it, and answers by second, in one SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import floor, log10

from tiffin.traffic.report import Report, human_seconds

WIDTH, HEIGHT, LEFT, TOP, GAP = 860, 260, 70, 46, 96
NINES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
COLOUR, GRID, TEXT = "#0b6e99", "#d9dee3", "#30363c"


def svg(report: Report) -> str:
    """Draw a report."""
    tall = 2 * (HEIGHT + GAP) + TOP
    box, font = f'viewBox="0 0 {WIDTH + LEFT + 40} {tall}"', 'font-family="system-ui, sans-serif" font-size="13"'
    said = f"{report.target} - {report.goodput:,.0f} answers a second, {report.failed:,} failed"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font} fill="{TEXT}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{escape(said)}</text>',
        *_quantiles(report, TOP),
        *_seconds(report.by_second, TOP + HEIGHT + GAP),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _quantiles(report: Report, top: int) -> Iterator[str]:
    """Latency by share of the requests: each step to the right is ten times rarer."""
    points, passed = [], 0
    count = sum(number for _, number in report.histogram)
    for least, number in report.histogram:
        passed += number
        points.append((_nines(1 - passed / count if passed < count else 0.1 / count), least))
    if not points:
        return
    low, high = floor(log10(points[0][1])), floor(log10(points[-1][1])) + 1
    wide = max(points[-1][0], 2.0)

    def height(seconds: float) -> float:
        return top + HEIGHT * (1 - (log10(seconds) - low) / (high - low))

    for power in range(low, high + 1):
        yield from _line(height(10.0**power), human_seconds(10.0**power))
    for share in NINES:
        if _nines(1 - share) <= wide:
            place = LEFT + WIDTH * _nines(1 - share) / wide
            yield f'<text x="{place:.0f}" y="{top + HEIGHT + 20}" text-anchor="middle">{100 * share:g} %</text>'
    path = " ".join(f"{LEFT + WIDTH * x / wide:.1f},{height(y):.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{COLOUR}" stroke-width="2"/>'
    yield f'<text x="{LEFT}" y="{top - 8}">latency by share of the requests</text>'


def _nines(rest: float) -> float:
    return -log10(rest) if rest < 1 else 0.0


def _seconds(counts: Sequence[int], top: int) -> Iterator[str]:
    most = max(counts, default=0) or 1
    for share in (0.0, 0.5, 1.0):
        yield from _line(top + HEIGHT * (1 - share), f"{share * most:,.0f}")
    width = WIDTH / max(len(counts), 1)
    for second, count in enumerate(counts):
        tall = HEIGHT * count / most
        yield (
            f'<rect x="{LEFT + second * width + 1:.1f}" y="{top + HEIGHT - tall:.1f}" width="{max(width - 2, 1):.1f}" '
            f'height="{tall:.1f}" fill="{COLOUR}" opacity="0.8"/>'
        )
    yield f'<text x="{LEFT}" y="{top - 8}">answers by second</text>'
    yield f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 20}" text-anchor="end">{len(counts)} s</text>'


def _line(height: float, said: str) -> Iterator[str]:
    yield f'<line x1="{LEFT}" y1="{height:.1f}" x2="{LEFT + WIDTH}" y2="{height:.1f}" stroke="{GRID}"/>'
    yield f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{said}</text>'
