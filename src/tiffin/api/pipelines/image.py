"""The pipeline image: a project's environment with tiffin and the project in it, which runs its pipeline anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tiffin.api.building.build import have_below_weights
from tiffin.api.building.projects import Checkout, fresh_lock
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.actions import BUILD
from tiffin.api.pipelines.compile import graph_of
from tiffin.api.pipelines.environment import parts_of
from tiffin.api.pipelines.ground import ground_of
from tiffin.api.pipelines.here import DOCUMENT, LIBRARIES, PipelineImage
from tiffin.api.pipelines.layered import Above, files_at, layered
from tiffin.api.pipelines.tool import TOOL, tool_layer
from tiffin.build.included import INCLUDE, matching, steps_of
from tiffin.build.itself import itself
from tiffin.build.prove import libraries_key
from tiffin.config.pipeline import is_tag
from tiffin.engine.plan import environment
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.write import write_layer
from tiffin.oci.documents import RunConfig, encode
from tiffin.oci.image import Image
from tiffin.pipeline.benches.containers import PYTHON
from tiffin.pipeline.benches.own_code import CODE, LANGUAGE
from tiffin.pipeline.benches.processes import refuse
from tiffin.pipeline.graph import Action, Graph
from tiffin.progress import note, step

TAG = "pipeline"
"""The tag under which a project's pipeline image is kept: `iris:pipeline`."""


def keep_pipeline_image(folder: Path, home: Home, pipeline: str = "") -> Image:
    """Have the image that runs a project's pipeline in a container of its own, each step a process in it.

    `pipeline` names one of several, whose data it is to have; any of them can be run in it.

    Raises UnsupportedError, with the line of pipeline.py, for a step that needs another image, and for a Python that
    tiffin does not run on.
    """
    checkout = Checkout.of(folder, needs_model=False)
    section = checkout.project.pipeline
    lock = fresh_lock(checkout, home)
    tool = itself(checkout.image_python(lock.base_image))
    graph = graph_of(folder, home, pipeline)
    for each in graph.steps.values():
        if not isinstance(each.does, Action):
            refuse(each)
    stood_on = have_below_weights(checkout, home) if _builds(graph) else []
    parts = parts_of(folder, home, (section.file, *section.include))
    below, language = parts.environment().image, parts.language()
    said = PipelineImage(
        environment=below.descriptor.digest,
        language=language.digest,
        variables=environment(below.config.config.env),
    )
    ground = partial(ground_of, checkout, home) if checkout.project.image.bytecode else None
    read = [*files_at(LANGUAGE, language.lying()), Entry.of(str(DOCUMENT).strip("/"), encode(said))]
    read += _libraries(stood_on, home)
    layers = [
        *_server(stood_on, below),
        Above(title="tiffin", layer=tool_layer(tool, below, ground, home)),
        Above(title="tiffin_pipeline", layer=write_layer(read, home.store)),
        Above(title="the project", layer=write_layer(files_at(CODE, project_files(checkout, graph)), home.store)),
    ]
    name = f"{checkout.project.name}:{TAG}"
    with step("image", name):
        image = layered(below, layers, _run(below.config.config), home)
    home.store.tag(name, image.descriptor)
    return image


def _builds(graph: Graph) -> bool:
    """Say whether a step builds the project's image."""
    return any(isinstance(step.does, Action) and step.does.name == BUILD for step in graph.steps.values())


def _server(stood_on: Sequence[Layer], below: Image) -> list[Above]:
    """The layers of the server: nothing runs from them here, but whoever has this image has all that a build stands on.

    In a pod there are no packages and no compiler. It has the lock, which knows these layers, and a registry with them.
    """
    has = {layer.digest for layer in below.manifest.layers}
    return [Above(title="server", layer=layer) for layer in stood_on if layer.descriptor.digest not in has]


def _libraries(stood_on: Sequence[Layer], home: Home) -> list[Entry]:
    """What is known of layers, so that what is built on them is proven without reading them."""
    records = home.records("libraries")
    keys = [libraries_key(layer.diff_id) for layer in stood_on]
    return files_at(str(LIBRARIES), {key.hex: path for key in keys if (path := records.path(key)).is_file()})


def _run(below: RunConfig) -> RunConfig:
    """How it starts: tiffin by the environment's interpreter, which sees nothing else of the environment."""
    return msgspec.structs.replace(
        below, entrypoint=[PYTHON, "-I", "-S", TOOL], cmd=["pipeline", "run", "--here"], working_dir=CODE
    )


def project_files(checkout: Checkout, graph: Graph) -> dict[str, Path]:
    """What of a project's folder its pipeline can read, by path there: no model, and nothing that nobody named.

    What says how it is built and run, the code of its steps and of its image, and the data that is named in
    `[pipeline]` or is the default of one of its parameters. Data that lies elsewhere, or is not there, stays out.
    """
    folder, project = checkout.folder, checkout.project
    section, python = project.pipeline, project.python
    named = [checkout.file.name, checkout.lock_path.name, python.requirements, project.model.training_data]
    named += [path for check in project.check for path in (check.request, check.expect)]
    files = {name: folder / name for name in named if name and (folder / name).is_file()}
    files |= steps_of(folder, project, (section.file, *section.include))
    for name in _data(checkout, graph):
        files |= _of_data(folder, name)
    return files


def _data(checkout: Checkout, graph: Graph) -> Iterator[str]:
    """Files and folders that a run reads where nobody says another."""
    section = checkout.project.pipeline
    yield from (watched for watched in section.watch if not is_tag(watched))
    for name, port in graph.parameters.items():
        given = section.arguments.get(name, port.default)
        if not port.is_parameter and given:
            yield from map(str, given if isinstance(given, list) else [given])


def _of_data(folder: Path, name: str) -> dict[str, Path]:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        note(f"{name} lies outside of the project, and is no part of the image: mount it where the pipeline is run")
        return {}
    if (folder / path).is_file():
        return {path.as_posix(): folder / path}
    found = dict(matching(folder, f"{path.as_posix()}/**/*", INCLUDE))
    if not found:
        note(f"{name} is not there, and so is no part of the image: mount it where the pipeline is run")
    return found
