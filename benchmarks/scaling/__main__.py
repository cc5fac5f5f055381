"""`python -m benchmarks.scaling`: replay loads with both; `--write` puts the table into docs/benchmarks.md."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

from benchmarks.scaling.knative import Knative
from benchmarks.scaling.ours import Tiffin
from benchmarks.scaling.simulator import Outcome, replay
from benchmarks.scaling.traces import TRACES, Trace
from benchmarks.table import replaced
from tiffin.deploy.autoscale import Policy

SEEDS = range(3)
DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- scaling: begin -->", "<!-- scaling: end -->"


def both(trace: Trace, seed: int) -> tuple[Outcome, Outcome]:
    """Replay one trace with ours and with Knative's."""
    policy = Policy(least=0, most=50, concurrency=5.6)
    return replay(trace, Tiffin(policy), policy, seed=seed), replay(trace, Knative(policy), policy, seed=seed)


def table() -> str:
    """Replay everything, and tell it in a table."""
    lines = [
        "| load | mean wait, ms | p99, s | replica-seconds | Knative: mean wait, ms | p99, s | replica-seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, trace in TRACES.items():
        runs = [both(trace, seed) for seed in SEEDS]
        cells = [cell for who in (0, 1) for cell in _cells([run[who] for run in runs])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(outcomes: list[Outcome]) -> list[str]:
    return [
        f"{1000 * fmean(one.mean_wait for one in outcomes):.1f}",
        f"{fmean(one.p99_wait for one in outcomes):.2f}",
        f"{fmean(one.replica_seconds for one in outcomes):,.0f}",
    ]


def main() -> None:
    """Print the table, or write it."""
    text = table()
    print(text)
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text, (BEGIN, END)))


if __name__ == "__main__":
    main()
