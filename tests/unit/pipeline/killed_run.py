"""A run that is killed at a moment: `killed_run.py FOLDER MOMENT`, which counts keeps and lines of the ledger.

Each attempt that was kept leaves its key's digits in FOLDER/did; at moment 0 nobody is killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tiffin.pipeline.graph import Graph, Port
from tiffin.pipeline.keeping.content import Contents
from tiffin.pipeline.keeping.kept import KeptResults
from tiffin.pipeline.results import Result
from tiffin.pipeline.running.ledger import Event, Ledger, Planned, begun
from tiffin.pipeline.running.means import Means, RunOptions
from tiffin.pipeline.running.run import run_pipeline
from tiffin.store.layout import LayoutStore
from tiffin.store.records import Records
from unit.pipeline.graphs import FILE, constant, for_each, graph, item, output, step, task
from unit.pipeline.memory_bench import MemoryBench, Work

MADE: Graph = graph(
    task("split"),
    for_each("l", constant([1.0, 2.0, 3.0]), task("fit", train=output("split"), depth=item("l")), parallel=2),
    task("best", all=output("fit")),
    steps=[
        step("split", outputs={"out": FILE}),
        step("fit", inputs={"train": FILE, "depth": Port(type="float")}, outputs={"out": FILE}),
        step("best", inputs={"all": Port(type="Dataset", many=True)}),
    ],
)


class Moments:
    """Kills this process when it has come to a moment."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def one(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class KilledResults(KeptResults):
    """Results whose keeping is a moment, before it and after it."""

    moments: Moments
    did: Path

    def keep(self, document: bytes, *rest: Any) -> Result:
        self.moments.one()
        kept = super().keep(document, *rest)
        with (self.did / f"{kept.key.hex}.{os.getpid()}").open("a") as file:
            file.write("kept\n")
        self.moments.one()
        return kept


def main(folder: Path, moment: int) -> None:
    """Run it, or as much of it as there is until the moment."""
    moments = Moments(moment)
    results = KilledResults(LayoutStore(folder / "store", pruned=True), Contents(Records(folder / "known")))
    results.moments, results.did = moments, folder / "did"
    results.did.mkdir(parents=True, exist_ok=True)
    contents = Contents(Records(folder / "known"))
    bench = MemoryBench(
        {"fit": lambda work: work.give(out=b"%d " % work["depth"] + work.read("train")), "split": _split}
    )
    means = Means(workbench=bench, results=results, look=contents.input, changed=contents.changed)
    write = Ledger.write

    def killed_write(self: Ledger, event: Event, *, durable: bool = False) -> None:
        write(self, event, durable=durable)
        moments.one()

    Ledger.write = killed_write  # type: ignore[method-assign]
    with begun(folder / "retrain", Planned(graph=MADE)) as ledger:
        run_pipeline(MADE, {}, means, ledger, RunOptions(jobs=2))


def _split(work: Work) -> Any:
    return work.give(out=b"rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
