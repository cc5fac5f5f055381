"""Does one step in a pod of Kubeflow's: what its launcher says, turned into an order, and what came of it, back.

The launcher has fetched the inputs, makes the folders that outputs lie in, and puts its `ExecutorInput` as JSON where
the command has `{{$}}`: `python -m tiffin_pipeline kubeflow MODULE FUNCTION --executor_input {{$}}`.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from tiffin_pipeline.artifacts import Metrics, Status
from tiffin_pipeline.steps import Step, step
from tiffin_pipeline.work import DONE, do

_ROOTS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}
_OCI = "oci://"


def run(module: str, function: str, text: str) -> int:
    """Do a step as Kubeflow's launcher orders it; gives the exit status."""
    said = json.loads(text)
    found = getattr(importlib.import_module(module), function)
    asked: "Step[Any]" = found if isinstance(found, Step) else step(found)
    with tempfile.TemporaryDirectory() as folder:
        order = {**_order(asked, said), "module": module, "function": function, "metadata": folder + "/metadata.json"}
        status = do(order)
        if status == DONE:
            _answer(asked, said, Path(folder, "metadata.json"))
    return status


def place_of(artifact: Mapping[str, Any]) -> str:
    """Where the launcher has a file or folder: its address below the folder of its kind of store."""
    if artifact.get("customPath"):
        return str(artifact["customPath"])
    uri = str(artifact.get("uri", ""))
    if uri.startswith(_OCI):
        return "/oci/%s/models" % uri[len(_OCI) :].replace("/", "_")
    for scheme, root in _ROOTS.items():
        if uri.startswith(scheme):
            return root + uri[len(scheme) :]
    sys.stderr.write("no files are fetched from %s: store artifacts at s3://, gs:// or minio://\n" % uri)
    return uri


def _order(asked: "Step[Any]", said: Mapping[str, Any]) -> Dict[str, Any]:
    """What the launcher says, of what the function knows: Kubeflow may hand over more."""
    taken, given = said.get("inputs", {}), said.get("outputs", {})
    values = {name: value for name, value in taken.get("parameterValues", {}).items() if name in asked.inputs}
    artifacts = {name: _listed(several) for name, several in taken.get("artifacts", {}).items() if name in asked.inputs}
    inputs = {name: [_input(one) for one in several] for name, several in artifacts.items() if several}
    outputs = {name: _listed(several)[0] for name, several in given.get("artifacts", {}).items()}
    return {
        "values": {name: _value(asked.inputs[name].kind, value) for name, value in values.items()},
        "inputs": inputs,
        "many": [name for name in inputs if asked.inputs[name].many],
        "outputs": {name: {"path": place_of(one)} for name, one in outputs.items() if name in asked.outputs},
        "parameters": {name: {"path": one["outputFile"]} for name, one in given.get("parameters", {}).items()},
    }


def _listed(several: Mapping[str, Any]) -> List[Dict[str, Any]]:
    return list(several.get("artifacts", []))


def _input(artifact: Mapping[str, Any]) -> Dict[str, Any]:
    return {"path": place_of(artifact), "metadata": artifact.get("metadata", {})}


def _value(kind: Any, value: Any) -> Any:
    """A value of its type: Kubeflow has no whole numbers, and says in more words how something ended."""
    if kind is int and isinstance(value, float):
        return int(value)
    if kind is Status and isinstance(value, dict):
        error: Optional[Any] = value.get("error")
        return {"state": value["state"], "error": error.get("message", "") if isinstance(error, dict) else error or ""}
    return value


def _answer(asked: "Step[Any]", said: Mapping[str, Any], metadata: Path) -> None:
    """Tell the launcher what is known of the outputs; numbers of metrics are what its pages show."""
    facts = json.loads(metadata.read_text(encoding="utf-8")) if metadata.is_file() else {}
    answer = {}
    for name, several in said.get("outputs", {}).get("artifacts", {}).items():
        one = _listed(several)[0]
        known = dict(facts.get(name, {}))
        if issubclass(asked.outputs[name].kind, Metrics):
            known.update(Metrics(place_of(one)).read())
        if known:
            answer[name] = {"artifacts": [{"name": one.get("name", ""), "uri": one["uri"], "metadata": known}]}
    file = said.get("outputs", {}).get("outputFile")
    if answer and file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(json.dumps({"artifacts": answer}), encoding="utf-8")
