"""The container that is a pipeline's environment: what its image says of itself, and the bench that it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import code_of
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.benches.confinement import here as kernel
from tiffin.pipeline.benches.own_code import LANGUAGE, OwnCode
from tiffin.pipeline.benches.processes import OWN, ProcessBench, Surroundings, refuse
from tiffin.pipeline.benches.step_code import step_code
from tiffin.pipeline.graph import Action, Graph
from tiffin.progress import note

DOCUMENT = OWN / "pipeline.json"
"""Where a pipeline image says what it is."""


class PipelineImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline image says of itself: the environment image that it stands on, and the language's digest.

    `variables` are those that the environment image sets: whatever else a container is given is no step's.
    """

    schema: int = 1
    environment: Digest
    language: Digest
    variables: dict[str, str]


def here_bench(folder: Path, home: Home, include: tuple[str, ...], document: Path = DOCUMENT) -> ProcessBench:
    """Make the bench that is this very container; raises UnsupportedError outside of a pipeline image."""
    said = surroundings(document)
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


def surroundings(document: Path = DOCUMENT) -> PipelineImage:
    """Read what the image says that this container is of."""
    try:
        return decode(PipelineImage, document.read_bytes(), str(document))
    except FileNotFoundError:
        raise UnsupportedError(
            "`--here` is for a container of a pipeline image, and this is none",
            "leave it out: each step then has a container of its own",
        ) from None
