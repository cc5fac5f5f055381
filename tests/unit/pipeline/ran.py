"""A place where pipelines are run in memory: a bench, results and data of a test's own, and ledgers in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.running.ledger import Planned, begun
from tiffin.pipeline.running.means import Means, RunOptions
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.running.runs import Run, Runs
from tiffin.pipeline.workbench import Input
from unit.pipeline.memory_bench import MemoryBench
from unit.pipeline.memory_results import MemoryResults


class Place:
    """Runs pipelines; what was kept by one run is there for the next."""

    def __init__(self, folder: Path, bench: MemoryBench | None = None) -> None:
        self.folder = folder / "retrain"
        self.bench = bench or MemoryBench()
        self.results = MemoryResults(folder / "taken")
        self.heard: list[tuple[str, str]] = []
        self.waited: list[float] = []
        self.now = 1_800_000_000.0
        self.looked: list[Path] = []

    def means(self) -> Means:
        return Means(
            workbench=self.bench,
            results=self.results,
            look=self._look,
            changed=self._changed,
            heard=lambda task, line: self.heard.append((task, line)),
            clock=lambda: self.now,
            wait=self._wait,
        )

    def run(
        self,
        graph: Graph,
        arguments: Mapping[str, Any] | None = None,
        options: RunOptions | None = None,
        stopped: Event | None = None,
    ) -> Run:
        with begun(self.folder, Planned(graph=graph), lambda: self.now) as ledger:
            return run_pipeline(graph, arguments or {}, self.means(), ledger, options, stopped)

    @property
    def runs(self) -> Runs:
        return Runs(self.folder)

    def _look(self, path: Path, type_: str) -> Input:
        self.looked.append(path)
        content = path.read_bytes()
        return Input(digest=Digest.of(content), path=path, name=path.name, type=type_, size=len(content))

    def _changed(self, each: Input) -> bool:
        return Digest.of(each.path.read_bytes()) != each.digest

    def _wait(self, stopped: Event, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds
        assert not stopped.is_set() or seconds
