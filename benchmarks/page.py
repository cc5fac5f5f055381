"""The page of figures, from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from .names import BUILDAH, CHANGED, COLD, LIVE, PIP, TIFFIN, UV
from .results import Results
from .table import build_table, run_table, size_table, target_table
from .targets import targets


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


def page(results: Results, circumstances: Circumstances) -> str:
    """Write everything that stands between the page's markers."""
    cold, small, runs = (results.count(what) for what in (f"{COLD} build", f"{CHANGED} build", f"{CHANGED} {LIVE}"))
    everyone = [TIFFIN, PIP, UV, BUILDAH]
    return "\n\n".join(
        [
            circumstances.text,
            "### Targets",
            target_table(targets(results)),
            "### Building",
            f"Seconds of the build + seconds of the push; medians of {cold} (small changes: {small}).",
            build_table(results, everyone),
            "### Running",
            f"Seconds from the command to the answer; medians of {runs}.",
            run_table(results, [TIFFIN, UV]),
            "### Size and memory",
            size_table(results, everyone),
        ]
    )


def runs_page(results: Results, circumstances: Circumstances) -> str:
    """Write what `--runs` measured: the targets of running, and its table."""
    runs = results.count(f"{CHANGED} {LIVE}")
    told = f"Seconds from the command to the answer; medians of {runs}."
    return "\n\n".join([circumstances.text, target_table(targets(results)), told, run_table(results, [TIFFIN, UV])])
