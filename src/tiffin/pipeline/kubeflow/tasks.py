"""Tasks as Kubeflow has them: calls of steps, and of the graphs that branches, loops and groups are."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import msgspec

from tiffin.pipeline.graph import Constant, Importer, Retry, Status, Step, Task, Text
from tiffin.pipeline.kubeflow import conditions
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.layout import Scope, Spot
from tiffin.pipeline.kubeflow.names import channel, component
from tiffin.pipeline.kubeflow.sources import given
from tiffin.pipeline.kubeflow.wiring import Ends, Wire, Wiring

Document = dict[str, Any]
ENVIRONMENT = "tiffin--environment"
"""An input that no step reads: the digest of its variables, which Kubeflow's cache did not look at before 2.17.2."""

_ANYHOW = "ALL_UPSTREAM_TASKS_COMPLETED"


def of_task(task: Task, step: Step, wiring: Wiring, images: Images) -> Document:
    """The call of a step."""
    spot = wiring.spot(task.name)
    inputs = _inputs(task, step, wiring, spot)
    cached = task.cached and step.cached
    if step.env and cached:
        inputs[ENVIRONMENT] = _constant(_digest(step.env))
    made = {
        **_call(task.name, inputs, wiring.ends[spot.around[-1].name]),
        "cachingOptions": _caching(task, step, images) if cached else {},
    }
    if task.retry.count:
        made["retryPolicy"] = _retry(task.retry)
    if task.regardless:
        made["triggerPolicy"] = {"strategy": _ANYHOW}
    return made


def of_scope(scope: Scope, wiring: Wiring, around: Ends) -> Document:
    """The call of a graph within a graph: once, if a condition holds, or for each item of a list."""
    given_to = {name: wire.said for name, wire in wiring.ends[scope.name].given.items()}
    made = _call(scope.name, given_to, around)
    if scope.regardless:
        made["triggerPolicy"] = {"strategy": _ANYHOW}
    if scope.tests:
        made["triggerPolicy"] = {"condition": conditions.text(scope.tests, wiring.operand_of(scope))}
    if scope.loop is not None:
        items = scope.loop.items
        listed = {"raw": json.dumps(items.value, sort_keys=True)} if isinstance(items, Constant) else None
        made["parameterIterator"] = {
            "itemInput": wiring.item(scope),
            "items": listed or {"inputParameter": wiring.items(scope)},
        }
        if scope.loop.parallel:
            made["iteratorPolicy"] = {"parallelismLimit": scope.loop.parallel}
    return made


def _call(name: str, inputs: dict[str, Document], around: Ends) -> Document:
    made: Document = {"taskInfo": {"name": name}, "componentRef": {"name": component(name)}}
    halves = {
        "parameters": {name: said for name, said in inputs.items() if not _is_artifact(said)},
        "artifacts": {name: said for name, said in inputs.items() if _is_artifact(said)},
    }
    if inputs:
        made["inputs"] = {name: half for name, half in halves.items() if half}
    if depends := around.depends.get(name):
        made["dependentTasks"] = sorted(depends)
    return made


def _is_artifact(said: Document) -> bool:
    return "componentInputArtifact" in said or "taskOutputArtifact" in said


def _inputs(task: Task, step: Step, wiring: Wiring, spot: Spot) -> dict[str, Document]:
    made: dict[str, Document] = {}
    for name, source in given(task, step).items():
        if isinstance(source, Text):
            made |= _text(name, source, wiring, spot)
        elif isinstance(source, Constant):
            made[name] = _constant(source.value)
        elif isinstance(source, Status):
            made[name] = {"taskFinalStatus": {"producerTask": wiring.ended(source, spot)}}
        else:
            made[name] = wiring.reach(source, spot).said
    return made


def _text(name: str, source: Text, wiring: Wiring, spot: Spot) -> dict[str, Document]:
    """A text of pieces: each that is no text is a further input, whose placeholder the driver resolves."""
    further: dict[str, Document] = {}
    words: list[str] = []
    for piece in source.pieces:
        if isinstance(piece, str):
            words.append(piece)
        elif isinstance(piece, Constant):
            words.append(as_text(piece.value))
        else:
            wire: Wire = wiring.reach(piece, spot)
            further[channel(wire.full)] = wire.said
            words.append(f"{{{{$.inputs.parameters['{channel(wire.full)}']}}}}")
    return {**further, name: _constant("".join(words))}


def as_text(value: Any) -> str:
    """A value within a text: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _constant(value: Any) -> Document:
    return {"runtimeValue": {"constant": value}}


def _caching(task: Task, step: Step, images: Images) -> Document:
    """Kubeflow's own key has what a task reads; one of ours replaces it, so only a task that reads nothing has one."""
    made: Document = {"enableCache": True}
    constants = {name: source for name, source in task.inputs.items() if isinstance(source, Constant)}
    if isinstance(step.does, Importer) or len(constants) < len(task.inputs):
        return made
    key = {
        "format": "1",
        "image": images.of(step),
        "does": msgspec.to_builtins(step.does),
        "env": step.env,
        "outputs": {name: port.type for name, port in step.outputs.items()},
        "values": {name: source.value for name, source in constants.items()},
    }
    return {**made, "cacheKey": _digest(key)}


def _digest(document: Any) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _retry(retry: Retry) -> Document:
    """Argo counts whole seconds."""
    return {
        "maxRetryCount": retry.count,
        "backoffDuration": f"{math.ceil(retry.seconds)}s",
        "backoffFactor": retry.factor,
        "backoffMaxDuration": f"{math.ceil(retry.most)}s",
    }
