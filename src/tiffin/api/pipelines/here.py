"""The container that is a pipeline's environment: what its image says of itself, and the bench that it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tiffin.api.machine.container import DOCUMENT, LIBRARIES, this_container
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import code_of
from tiffin.errors import UnsupportedError
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.benches.confinement import here as kernel
from tiffin.pipeline.benches.own_code import LANGUAGE, OwnCode
from tiffin.pipeline.benches.processes import ProcessBench, Surroundings, refuse
from tiffin.pipeline.benches.step_code import step_code
from tiffin.pipeline.graph import Action, Graph
from tiffin.progress import note


def here_bench(folder: Path, home: Home, include: tuple[str, ...], document: Path = DOCUMENT) -> ProcessBench:
    """Make the bench that is this very container; raises UnsupportedError outside of a pipeline image."""
    said = this_container(document)
    if said is None:
        raise UnsupportedError(
            "`--here` is for a container of a pipeline image, and this is none",
            "leave it out: each step then has a container of its own",
        )
    home.records("libraries").adopt(LIBRARIES)
    confinement = kernel()
    if confinement.lacks:
        note(f"steps are not confined here, and known by that: {confinement.lacks}")
    language = Code(digest=said.language, path=Path(LANGUAGE))
    return ProcessBench(
        Surroundings(environment=said.environment, variables=said.variables, confinement=confinement),
        OwnCode(
            partial(code_of, folder, home, include), lambda: language, partial(step_code, home.records("step-code"))
        ),
    )


def refuse_others(graph: Graph) -> None:
    """Refuse a pipeline of which a step needs another container; raises UnsupportedError with its line."""
    for each in graph.steps.values():
        if not isinstance(each.does, Action):
            refuse(each)
