"""The page of figures, from what was measured."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from . import machine
from .measures import MEASURES, Measure, outcomes
from .names import BUILDERS, CHANGED, COLD, LIVE, PEERS, TIFFIN, UV
from .results import Results
from .table import build_table, markdown, measure_table, run_table, size_table


@dataclass(frozen=True)
class Circumstances:
    """When, where and how the figures came about; `load` is what else the machine had to do."""

    command: str
    date: str
    machine: str
    versions: str
    load: str

    @property
    def text(self) -> str:
        """Say it in a sentence."""
        return f"`{self.command}`, {self.date}, on {self.machine}; {self.versions}; {self.load}."


def figures_page(results: Results, module: str, measures: Sequence[Measure], said: str) -> str:
    """Write what was promised of the figures of a module, and every figure; `said` is of what else counts."""
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    date = datetime.now(UTC).date().isoformat()
    rows = [
        [what, who, f"{results.median(what, who):.3g}", f"{min(values):.3g}-{max(values):.3g}", str(len(values))]
        for (what, who), values in results.samples.items()
    ]
    return "\n\n".join(
        [
            f"`{command}`, {date}, on {machine.described()}; {said}.",
            measure_table(list(outcomes(measures, results))),
            *_failures(results),
            markdown(["what", "whose", "median", "from-to", "samples"], rows),
        ]
    )


def page(results: Results, circumstances: Circumstances, measured: Collection[str]) -> str:
    """Write everything that stands between the page's markers; `measured` are those who took part."""
    everyone = [name for name in BUILDERS if name in measured]
    cold, small = results.count(f"{COLD} build", TIFFIN), results.count(f"{CHANGED} build", TIFFIN)
    medians = f"medians of {cold} (small changes: {small}); of {', '.join(PEERS)} one sample."
    return "\n\n".join(
        [
            circumstances.text,
            "### Targets",
            measure_table(list(outcomes(MEASURES, results))),
            *_failures(results),
            "### Building",
            f"Seconds of the build + seconds of the push; {medians}",
            build_table(results, everyone),
            "### Running",
            f"Seconds from the command to the answer; medians of {results.count(f'{CHANGED} {LIVE}', TIFFIN)}.",
            run_table(results, [TIFFIN, UV]),
            "### Size and memory",
            size_table(results, everyone),
        ]
    )


def _failures(results: Results) -> list[str]:
    """Say who could not be measured, and why."""
    lines = [f"* **{name}** was not measured: `{reason}`" for name, reason in results.failures.items()]
    return ["\n".join(lines)] if lines else []


def runs_page(results: Results, circumstances: Circumstances) -> str:
    """Write what `--runs` measured: the targets of running, and its table."""
    told = f"Seconds from the command to the answer; medians of {results.count(f'{CHANGED} {LIVE}', TIFFIN)}."
    table = measure_table(list(outcomes(MEASURES, results)))
    return "\n\n".join([circumstances.text, table, told, run_table(results, [TIFFIN, UV])])
