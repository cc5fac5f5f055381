"""The pipeline image: a project's environment with tiffin and the project in it, which runs its pipeline anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from tiffin.api.building.build import have_below_weights
from tiffin.api.building.projects import Checkout, fresh_lock
from tiffin.api.machine.container import DOCUMENT, LIBRARIES, PipelineImage
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.actions import BUILD
from tiffin.api.pipelines.carried import carried
from tiffin.api.pipelines.compile import graph_of
from tiffin.api.pipelines.environment import parts_of
from tiffin.api.pipelines.ground import ground_of
from tiffin.api.pipelines.here import refuse_others
from tiffin.api.pipelines.layered import Above, files_at, layered
from tiffin.api.pipelines.tool import TOOL, tool_layer
from tiffin.build.itself import itself
from tiffin.build.prove import libraries_key
from tiffin.engine.plan import environment
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.write import write_layer
from tiffin.oci.documents import RunConfig, encode
from tiffin.oci.image import Image
from tiffin.pipeline.benches.containers import PYTHON
from tiffin.pipeline.benches.own_code import CODE, LANGUAGE
from tiffin.pipeline.graph import Action, Graph
from tiffin.progress import step

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
    refuse_others(graph)
    stood_on = have_below_weights(checkout, home) if _builds(graph) else []
    parts = parts_of(folder, home, (section.file, *section.include))
    below, language = parts.environment().image, parts.language()
    said = PipelineImage(
        environment=below.descriptor.digest,
        language=language.digest,
        layers=tuple(below.config.rootfs.diff_ids),
        variables=environment(below.config.config.env),
    )
    ground = partial(ground_of, checkout, home) if checkout.project.image.bytecode else None
    read = [*files_at(LANGUAGE, language.lying()), Entry.of(str(DOCUMENT).strip("/"), encode(said))]
    read += _libraries(stood_on, home)
    layers = [
        *_server(stood_on, below),
        Above(title="tiffin", layer=tool_layer(tool, below, ground, home)),
        Above(title="tiffin_pipeline", layer=write_layer(read, home.store)),
        Above(title="the project", layer=write_layer(carried(checkout, graph, CODE), home.store)),
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
