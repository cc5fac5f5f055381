"""Pipelines that were compiled for Kubeflow, run here: their containers by the contract of its launcher."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import NoReturn

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import Parts, equipment
from tiffin.errors import ConfigError, NotFoundError
from tiffin.oci.reference import Reference
from tiffin.pipeline.benches.containers import ContainerBench
from tiffin.pipeline.graph import Importer, Step
from tiffin.pipeline.kubeflow.bench import LauncherBench
from tiffin.pipeline.kubeflow.importer import ImporterBench, Means, take_models
from tiffin.pipeline.kubeflow.launcher import Where
from tiffin.pipeline.kubeflow.read import Reading, read_graph
from tiffin.pipeline.kubeflow.validate import read_spec
from tiffin.pipeline.running.ledger import WORKSPACES
from tiffin.pipeline.workbench import Ended, Order, Workbench
from tiffin.progress import note


def read_compiled(path: Path, *, network: bool = False) -> Reading:
    """Understand a compiled pipeline; its steps have a `network` if that is said, as they have one on a cluster."""
    if not path.is_file():
        raise NotFoundError(f"no {path}", "name a compiled pipeline, or a project's folder")
    reading = read_graph(read_spec(path.read_text("utf-8"), str(path)), network=network)
    reading.runnable()
    for remark in reading.told:
        note(str(remark))
    return reading


def name_of(path: Path) -> str:
    """What a compiled pipeline is called."""
    return read_compiled(path).graph.name


def spec_bench(reading: Reading, home: Home, place: Path, *, network: bool) -> CompiledBench:
    """What the steps of a compiled pipeline are done by; `place` is where its runs are."""
    own = partial(_no_project, reading.graph.name)
    parts = Parts(environment=own, code=own, language=own)
    where = Where(pipeline=reading.graph.name, workspaces=place / WORKSPACES if reading.workspace else None)
    means = Means(network=network, models=partial(_models, home))
    return CompiledBench(LauncherBench(equipment(home, parts), where), ImporterBench(means))


class CompiledBench:
    """Does importers by one bench, and all other steps in containers."""

    def __init__(self, containers: ContainerBench, importers: Workbench) -> None:
        self._containers, self._importers = containers, importers
        self.sweep = containers.sweep

    def identity(self, step: Step) -> dict[str, str]:
        """As whoever does it says."""
        return self._of(step).identity(step)

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:
        """Have it done by whom it is for."""
        return self._of(order.step).do(order, said, stopped)

    def _of(self, step: Step) -> Workbench:
        return self._importers if isinstance(step.does, Importer) else self._containers


def _models(home: Home, reference: str, target: Path) -> None:
    """Put the models of an image of a registry into a folder."""
    from tiffin.api.images.pull import pull_image

    take_models(home.store, pull_image(Reference.parse(reference), home), target)


def _no_project(name: str) -> NoReturn:
    raise ConfigError(
        f"{name} is compiled, and has no project whose environment it could use", "give its step an image"
    )
