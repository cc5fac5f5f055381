"""`tiffin pipeline compile`: a pipeline as a specification that Kubeflow Pipelines v2 runs, its images by digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tiffin.api.images.push import deliver, open_repository
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import container_bench, parts_of, trace
from tiffin.api.pipelines.layered import Above, files_at, layered
from tiffin.config.project import Project
from tiffin.config.read import read_project
from tiffin.errors import ConfigError, NotFoundError
from tiffin.layers.write import write_layer
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.benches.containers import PYTHON
from tiffin.pipeline.benches.own_code import CODE, LANGUAGE
from tiffin.pipeline.graph import Action, Graph, Importer
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.refuse import notes
from tiffin.pipeline.kubeflow.write import pipeline_spec, prove, to_yaml
from tiffin.pipeline.meaning.check import check
from tiffin.progress import note, step

TAG = "steps"
"""The tag under which the image of a project's steps is kept: `iris:steps`."""
_DRAFT = f"draft@sha256:{'0' * 64}"
"""Stands for an image that is not made yet, so that nothing is pushed for what is refused."""


def compile_pipeline(folder: Path, name: str = "", registry: str = "", *, home: Home | None = None) -> str:
    """Compile the pipeline of a project's folder, the one called `name` where there are several, for Kubeflow.

    Steps in the project's environment run in an image with their code that is pushed to `registry`, a repository.
    Raises UnsupportedError, with the line of pipeline.py, for what Kubeflow would not run.
    """
    home = home or Home.of()
    target = _repository(registry)
    graph = graph_of(folder, home, name)
    images = Images(python=(PYTHON,), pinned=pinned(graph, home))
    prove(pipeline_spec(graph, msgspec.structs.replace(images, project=_DRAFT if target else "")))
    if target and _needs_project(graph):
        image = keep_step_image(folder, home)
        where = deliver(home.store, image.descriptor, target, home, verb="push")
        images = msgspec.structs.replace(images, project=where)
    elif target:
        note(f"nothing was pushed to {registry}: no step runs in the project's environment")
    document = pipeline_spec(graph, images)
    for said in notes(graph):
        note(said)
    return to_yaml(document)


def _repository(registry: str) -> Reference | None:
    target = Reference.parse(registry) if registry else None
    if target and not target.registry:
        raise ConfigError(f"{registry} names no registry", f"name it, too: `--push registry.example/{registry}`")
    return target


def pinned(graph: Graph, home: Home) -> dict[str, str]:
    """The images that steps name by a tag, each with the digest that its registry has for it now."""
    found: dict[str, str] = {}
    for one in graph.steps.values():
        image = getattr(one.does, "image", "")
        if image and "@" not in image and (reference := Reference.parse(image)).registry:
            with step("ask", image):
                described = open_repository(reference, home).resolve(reference.tag or "latest")
            found[image] = f"{image}@{described.digest}"
    return found


def graph_of(folder: Path, home: Home, name: str = "") -> Graph:
    """Read and check the pipeline of a project's folder; raises ConfigError, with file and line, for what cannot be."""
    _, project = read_project(folder, needs_model=False)
    section = project.pipeline
    if not (folder / section.file).is_file():
        raise NotFoundError(
            f"{folder} has no {section.file}",
            "write one, with a function under `@pipeline` (docs/reference/pipeline.md)",
        )
    bench = container_bench(folder, home, _include(project))
    graph = trace(bench, home, section.file.removesuffix(".py"), name or section.name)
    check(graph)
    return graph


def _include(project: Project) -> tuple[str, ...]:
    """What steps read of the project beside what `[image] include` names."""
    return (project.pipeline.file, *project.pipeline.include)


def keep_step_image(folder: Path, home: Home) -> Image:
    """Have the image that a project's steps run in where nothing can be mounted: its environment, with their code."""
    _, project = read_project(folder, needs_model=False)
    parts = parts_of(folder, home, _include(project))
    image = step_image(parts.environment().image, [(parts.language(), LANGUAGE), (parts.code(), CODE)], home)
    home.store.tag(f"{project.name}:{TAG}", image.descriptor)
    return image


def step_image(below: Image, layers: Sequence[tuple[Code, str]], home: Home) -> Image:
    """Put code above an environment, each at its place; what changes more often comes last."""
    above = [
        Above(
            title="code" if place == CODE else "tiffin_pipeline",
            layer=write_layer(files_at(place, code.lying()), home.store),
        )
        for code, place in layers
    ]
    run = below.config.config
    path = f"PYTHONPATH={CODE}:{LANGUAGE}"
    changed = msgspec.structs.replace(run, env=[*run.env, path, "PYTHONHASHSEED=0"], working_dir=CODE)
    return layered(below, above, changed, home)


def _needs_project(graph: Graph) -> bool:
    """Say whether any step runs in the project's own environment."""
    called = (graph.steps[task.step].does for task in graph.tasks())
    return any(not isinstance(does, Action | Importer) and not does.image for does in called)
