"""What Kubeflow is told that a step, or a whole pipeline, takes and gives."""

from __future__ import annotations

from typing import Any

from tiffin.pipeline.graph import Importer, Port, Step
from tiffin.pipeline.kubeflow.kinds import PARAMETER, schema
from tiffin.pipeline.kubeflow.names import executor

Document = dict[str, Any]


def of_step(step: Step, task: str) -> Document:
    """The component of a task: a step's inputs and outputs, and the container that it runs."""
    inputs = {"uri": Port(type="str")} if isinstance(step.does, Importer) else step.inputs
    return {**interface(inputs, step.outputs), "executorLabel": executor(task)}


def interface(inputs: dict[str, Port], outputs: dict[str, Port]) -> Document:
    """Inputs and outputs by name."""
    found = {
        "inputDefinitions": _sorted_out({name: taken(port) for name, port in inputs.items()}),
        "outputDefinitions": _sorted_out({name: given(port) for name, port in outputs.items()}),
    }
    return {name: definitions for name, definitions in found.items() if definitions}


def taken(port: Port) -> Document:
    """One input."""
    made = given(port)
    if port.optional or port.default is not None or port.type == "status":
        made["isOptional"] = True
    if port.is_parameter and port.default is not None:
        made["defaultValue"] = port.default
    return made


def given(port: Port) -> Document:
    """One output; a parameter of many values is their list."""
    made: Document = {"description": port.description} if port.description else {}
    if port.is_parameter:
        return {**made, "parameterType": "LIST" if port.many else PARAMETER[port.type]}
    return {**made, "artifactType": schema(port.type), **({"isArtifactList": True} if port.many else {})}


def _sorted_out(definitions: dict[str, Document]) -> Document:
    halves = {
        "parameters": {name: one for name, one in definitions.items() if "parameterType" in one},
        "artifacts": {name: one for name, one in definitions.items() if "artifactType" in one},
    }
    return {name: half for name, half in halves.items() if half}
