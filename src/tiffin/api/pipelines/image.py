"""The pipeline image: a project's environment with tiffin and the project in it, which runs its pipeline anywhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from tiffin.api.building.projects import Checkout, fresh_lock
from tiffin.api.machine.container import DOCUMENT, PipelineImage
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.carried import carried
from tiffin.api.pipelines.compile import graph_of
from tiffin.api.pipelines.environment import parts_of
from tiffin.api.pipelines.ground import ground_of
from tiffin.api.pipelines.here import refuse_others
from tiffin.api.pipelines.layered import Above, files_at, layered
from tiffin.api.pipelines.tool import TOOL, tool_layer
from tiffin.build.itself import itself
from tiffin.engine.plan import environment
from tiffin.layers.entry import Entry
from tiffin.layers.write import write_layer
from tiffin.oci.documents import RunConfig, encode
from tiffin.oci.image import Image
from tiffin.pipeline.benches.containers import PYTHON
from tiffin.pipeline.benches.own_code import CODE, LANGUAGE
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
    layers = [
        Above(title="tiffin", layer=tool_layer(tool, below, ground, home)),
        Above(title="tiffin_pipeline", layer=write_layer(read, home.store)),
        Above(title="the project", layer=write_layer(carried(checkout, graph, CODE), home.store)),
    ]
    name = f"{checkout.project.name}:{TAG}"
    with step("image", name):
        image = layered(below, layers, _run(below.config.config), home)
    home.store.tag(name, image.descriptor)
    return image


def _run(below: RunConfig) -> RunConfig:
    """How it starts: tiffin by the environment's interpreter, which sees nothing else of the environment."""
    return msgspec.structs.replace(
        below, entrypoint=[PYTHON, "-I", "-S", TOOL], cmd=["pipeline", "run", "--here"], working_dir=CODE
    )
