"""What a load has shown, in numbers for programs and in a picture for people."""

from __future__ import annotations

from math import log10

import msgspec

from tiffin.traffic.load import Measured
from tiffin.traffic.schedule import Load

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
SATURATED = 0.9
"""The share of one processor above which the load itself may be what was measured."""
BARS = " ▏▎▍▌▋▊▉█"
WIDTH = 40


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A measured load; latencies in seconds, `rate` and `goodput` in requests a second."""

    target: str
    load: Load
    requests: int
    rate: float
    goodput: float
    mean: float
    quantiles: dict[str, float]
    greatest: float
    wrong: int
    late: int
    errors: dict[str, int]
    saturated: bool
    histogram: list[tuple[float, int]]
    by_second: list[int]

    @property
    def failed(self) -> int:
        """Requests that were not answered with success and rightly."""
        return sum(self.errors.values()) + self.wrong + self.late


def make_report(target: str, load: Load, measured: Measured) -> Report:
    """Turn what was measured into a report."""
    latencies = measured.latencies
    return Report(
        target=target,
        load=load,
        requests=latencies.count + sum(n for why, n in measured.errors.items() if not why.startswith("status")),
        rate=latencies.count / measured.seconds,
        goodput=measured.answered / measured.seconds,
        mean=latencies.mean,
        quantiles={f"p{100 * share:g}": latencies.quantile(share) for share in QUANTILES},
        greatest=latencies.greatest,
        wrong=measured.wrong,
        late=measured.late,
        errors=dict(sorted(measured.errors.items())),
        saturated=measured.busy > SATURATED,
        histogram=list(latencies.filled()),
        by_second=[measured.by_second[second] for second in range(int(measured.seconds))],
    )


def human_seconds(seconds: float) -> str:
    """Write a duration with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def lines(report: Report) -> list[str]:
    """Write a report for people: what was asked, how fast it was, a histogram of latencies, what went wrong."""
    load = report.load
    how = (
        f"{load.rate:g} requests a second, {'even' if load.even else 'Poisson'}" if load.rate else "one after the other"
    )
    when = f"{load.seconds:g} s after {load.warm_up:g} s of warm-up"
    said = [
        f"{report.target}: {load.connections} connections, {how}, {when}",
        "",
        f"  answered   {report.goodput:,.1f} a second, {report.requests:,} requests",
        "  latency    " + "  ".join(f"{name} {human_seconds(value)}" for name, value in report.quantiles.items()),
        f"             mean {human_seconds(report.mean)}  max {human_seconds(report.greatest)}",
        "",
        *_bars(report.histogram),
    ]
    if report.failed:
        reasons = {**report.errors, "wrong answers": report.wrong, "due but never sent": report.late}
        said += ["", "  failed     " + ", ".join(f"{count:,} {why}" for why, count in reasons.items() if count)]
    if report.saturated:
        said += ["", "  This side was busy all the time: the service may be faster than what was measured."]
    return said


def _bars(histogram: list[tuple[float, int]]) -> list[str]:
    """Draw latencies on a logarithmic scale, about six rows for each factor of ten."""
    rows: dict[int, int] = {}
    for least, count in histogram:
        place = int(6 * log10(least / 1e-6))
        rows[place] = rows.get(place, 0) + count
    if not rows:
        return []
    most = max(rows.values())
    drawn = []
    for place in range(min(rows), max(rows) + 1):
        count = rows.get(place, 0)
        drawn.append(f"  {human_seconds(1e-6 * 10 ** (place / 6)):>8} {_bar(count / most):<{WIDTH}} {count:,}")
    return drawn


def _bar(share: float) -> str:
    eighths = round(share * WIDTH * 8)
    return BARS[-1] * (eighths // 8) + (BARS[eighths % 8] if eighths % 8 else "")
