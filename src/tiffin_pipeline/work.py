"""Does one step in a container: reads what is ordered, calls the function, and writes what it gives."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, Mapping

from tiffin_pipeline.artifacts import Artifact, Metrics, Status, plain
from tiffin_pipeline.errors import a, is_ours
from tiffin_pipeline.ports import Port, misfit
from tiffin_pipeline.steps import Step, step

DONE, RAISED, UNFIT = 0, 1, 2


class UnfitError(Exception):
    """What a function gave is not what its step says that it gives."""


def do(order: Mapping[str, Any]) -> int:
    """Do what is ordered (spec/pipeline.md), in this process; gives the exit status."""
    try:
        found = _step(order)
        given = _given(order, found)
        result = found.function(**given)
    except SystemExit as ended:
        if ended.code not in (None, 0):
            sys.stderr.write("the step ended itself by SystemExit: %s\n" % (ended.code,))
            return RAISED
        result = None
    except Exception as error:  # noqa: BLE001 - a step may raise anything
        _tell(error)
        return RAISED
    try:
        _keep(order, found, given, result)
    except UnfitError as error:
        sys.stderr.write("step `%s`: %s\n" % (order["function"], error))
        return UNFIT
    return DONE


def _step(order: Mapping[str, Any]) -> "Step[Any]":
    found = getattr(importlib.import_module(order["module"]), order["function"])
    return found if isinstance(found, Step) else step(found)


def _given(order: Mapping[str, Any], found: "Step[Any]") -> Dict[str, Any]:
    """What the function is called with: values, and artifacts of the classes that it asks for."""
    given: Dict[str, Any] = {
        name: None for name, port in found.inputs.items() if port.optional and port.default is None
    }
    given.update({name: _value(found.inputs[name], value) for name, value in order["values"].items()})
    for name, several in order["inputs"].items():
        kind = found.inputs[name].kind
        artifacts = [kind(one["path"], one.get("metadata")) for one in several]
        given[name] = artifacts if name in order["many"] else next(iter(artifacts), None)
    for name, one in order["outputs"].items():
        Path(one["path"]).parent.mkdir(parents=True, exist_ok=True)
        given[name] = found.outputs[name].kind(one["path"])
    return given


def _value(port: Port, value: Any) -> Any:
    if port.kind is Status and isinstance(value, dict):
        return Status(value["state"], value.get("error", ""))
    return float(value) if port.kind is float and type(value) is int else value


def _keep(order: Mapping[str, Any], found: "Step[Any]", given: Mapping[str, Any], result: Any) -> None:
    for name, value in _returned(found, result).items():
        if name in order["parameters"]:
            path = Path(order["parameters"][name]["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    metadata = {}
    for name in order["outputs"]:
        artifact: Artifact = given[name]
        _written(name, artifact)
        if artifact.metadata:
            metadata[name] = artifact.metadata
    if metadata:
        Path(order["metadata"]).write_text(json.dumps(metadata), encoding="utf-8")


def _returned(found: "Step[Any]", result: Any) -> Dict[str, Any]:
    """What was returned, by name, each of its type."""
    names = list(found.returned)
    if not names:
        if result is not None:
            raise UnfitError(
                "it returned %r, and says that it returns nothing: write `-> float`, or what it is" % (result,)
            )
        return {}
    values = {"output": result} if names == ["output"] and not hasattr(result, "_fields") else _fields(names, result)
    return {name: _fitting(found.returned[name], name, value) for name, value in values.items()}


def _fields(names: "list[str]", result: Any) -> Dict[str, Any]:
    if not isinstance(result, tuple) or len(result) != len(names):
        raise UnfitError("it returned %r, and says that it returns %s" % (result, ", ".join(names)))
    return dict(zip(names, result))  # noqa: B905 - `strict` came with Python 3.10


def _fitting(port: Port, name: str, given: Any) -> Any:
    value: Any = list(given) if port.kind is list and isinstance(given, tuple) else plain(given)
    fault = misfit(port.kind, value)
    if fault:
        raise UnfitError("its output `%s` is %s: %s" % (name, a(port.type), fault))
    return float(value) if port.kind is float else value


def _written(name: str, artifact: Artifact) -> None:
    """See that an output is there, and that metrics are such."""
    if isinstance(artifact, Metrics):
        try:
            artifact.write()
            artifact.read()
        except ValueError as error:
            raise UnfitError("its output `%s`: %s" % (name, error)) from error
    if not os.path.lexists(artifact.path):
        how = "log a number: `%s.log(…)`" if isinstance(artifact, Metrics) else "write a file or folder at `%s.path`"
        raise UnfitError("it wrote nothing to its output `%s`: %s" % (name, how % name))


def _tell(error: BaseException) -> None:
    """The traceback as the step's writer would see it, without the lines that led here."""
    import traceback

    frames = error.__traceback__
    while frames is not None and _before(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    traceback.print_exception(type(error), error.with_traceback(frames), frames)


def _before(file: str) -> bool:
    return file.startswith("<frozen importlib") or file == importlib.__file__ or is_ours(file)
