"""The containers that tasks run, and what Kubernetes is told of their pods."""

from __future__ import annotations

import math
from typing import Any

from tiffin.pipeline.graph import Command, Constant, Function, Importer, Resources, Step, Task
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.kinds import schema
from tiffin.pipeline.kubeflow.words import word

Document = dict[str, Any]
GPU = "nvidia.com/gpu"
"""The resource that whole GPUs are asked for by."""

_SIZES = (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


def of_step(step: Step, images: Images) -> Document:
    """The executor of a step."""
    if isinstance(step.does, Importer):
        return {"importer": _importer(step, step.does)}
    # The first word is no placeholder: the launcher looks for the program before it puts values in.
    command, arguments = _argv(step, images)
    container: Document = {"image": images.of(step), "command": command, "args": arguments}
    if step.env:
        container["env"] = [{"name": name, "value": value} for name, value in step.env.items()]
    if step.resources != Resources():
        container["resources"] = _resources(step.resources)
    return {"container": {name: value for name, value in container.items() if value}}


def pod(task: Task) -> Document:
    """What is said of a task's pod; the specification itself has no word for the seconds that a task may take."""
    return {"activeDeadlineSeconds": str(math.ceil(task.timeout))} if task.timeout else {}


def _argv(step: Step, images: Images) -> tuple[list[str], list[str]]:
    if isinstance(step.does, Function):
        start = [*images.python, "-m", "tiffin_pipeline", "kubeflow", step.does.module, step.does.name]
        return start, ["--executor_input", "{{$}}"]
    assert isinstance(step.does, Command)  # noqa: S101 - actions were refused
    words = [word(said, step) for said in step.does.argv]
    return words[:1], words[1:]


def _importer(step: Step, does: Importer) -> Document:
    kind = next(iter(step.outputs.values())).type
    uri = {"constant": does.uri.value} if isinstance(does.uri, Constant) else {"runtimeParameter": "uri"}
    made: Document = {"artifactUri": uri, "typeSchema": schema(kind)}
    return {**made, "metadata": does.metadata} if does.metadata else made


def _resources(resources: Resources) -> Document:
    """Limits, in the fields that back ends read since 2.5 and in those that older ones read."""
    made: Document = {}
    if resources.cpus:
        made |= {"cpuLimit": resources.cpus, "resourceCpuLimit": f"{resources.cpus:.12g}"}
    if resources.memory:
        made |= {"memoryLimit": resources.memory / 1e9, "resourceMemoryLimit": _size(resources.memory)}
    if resources.gpus:
        number = str(resources.gpus)
        made["accelerator"] = {"type": GPU, "count": number, "resourceType": GPU, "resourceCount": number}
    return made


def _size(size: int) -> str:
    return next((f"{size // unit}{name}" for name, unit in _SIZES if size % unit == 0), str(size))
