"""Compiled pipelines for tests, in few words: documents as kfp writes them, of components that a shell does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiffin.pipeline.kubeflow.read import Reading, read_graph
from tiffin.pipeline.kubeflow.validate import read_spec

Document = dict[str, Any]
FILE = "pipeline.yaml"
OTHERS = "registry.test/others:1"


def compiled_by_kfp() -> list[Any]:
    """The files that kfp compiled, where this checkout lies beside them."""
    folders = (parent / "shared" / "data" / "kfp" for parent in Path(__file__).resolve().parents)
    folder = next((each for each in folders if each.is_dir()), None)
    if folder is None:
        return [pytest.param(None, marks=pytest.mark.skip("needs the pipelines of Kubeflow in shared/data/kfp"))]
    return [pytest.param(path, id=path.stem.partition("__")[2]) for path in sorted(folder.glob("*.yaml"))]


def artifact(title: str = "system.Dataset", **more: Any) -> Document:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}, **more}


def parameter(type_: str = "STRING", **more: Any) -> Document:
    return {"parameterType": type_, **more}


def component(label: str, inputs: Document | None = None, outputs: Document | None = None, **more: Any) -> Document:
    """A component; what has an `artifactType` is an artifact, and everything else a parameter."""
    found: Document = {"executorLabel": f"exec-{label}"} if "dag" not in more else {}
    return {**found, **_interface(inputs or {}, outputs or {}), **more}


def _interface(inputs: Document, outputs: Document) -> Document:
    halves = {"inputDefinitions": inputs, "outputDefinitions": outputs}
    return {
        half: {
            kind: {name: one for name, one in ports.items() if ("artifactType" in one) is (kind == "artifacts")}
            for kind in ("parameters", "artifacts")
        }
        for half, ports in halves.items()
        if ports
    }


def shell(script: str, *words: str, image: str = OTHERS, **more: Any) -> Document:
    return {"container": {"image": image, "command": ["sh", "-c"], "args": [script, *words], **more}}


def task(component: str, *after: str, caching: bool = True, **more: Any) -> Document:
    """A call of a component; inputs are given as `parameters` and `artifacts`."""
    inputs = {kind: more.pop(kind) for kind in ("parameters", "artifacts") if kind in more}
    return {
        "componentRef": {"name": f"comp-{component}"},
        "taskInfo": {"name": component},
        "cachingOptions": {"enableCache": caching},
        **({"dependentTasks": list(after)} if after else {}),
        **({"inputs": inputs} if inputs else {}),
        **more,
    }


def constant(value: Any) -> Document:
    return {"runtimeValue": {"constant": value}}


def outer(name: str, **more: Any) -> Document:
    return {"componentInputParameter": name, **more}


def outer_artifact(name: str) -> Document:
    return {"componentInputArtifact": name}


def given(producer: str, key: str) -> Document:
    return {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": key}}


def given_artifact(producer: str, key: str) -> Document:
    return {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}


def status_of(producer: str) -> Document:
    return {"taskFinalStatus": {"producerTask": producer}}


def selected(producer: str, key: str) -> Document:
    return {"valueFromParameter": {"producerSubtask": producer, "outputParameterKey": key}}


def selected_artifact(*ways: tuple[str, str]) -> Document:
    return {"artifactSelectors": [{"producerSubtask": producer, "outputArtifactKey": key} for producer, key in ways]}


def pipeline(
    tasks: Document,
    components: Document,
    executors: Document,
    *,
    inputs: Document | None = None,
    outputs: Document | None = None,
    **more: Any,
) -> Document:
    """A whole document; `outputs` are selectors by `parameters` and `artifacts`."""
    document = {
        "pipelineInfo": {"name": "tried"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "components": {f"comp-{name}": one for name, one in components.items()},
        "deploymentSpec": {"executors": {f"exec-{name}": one for name, one in executors.items()}},
        "root": {
            "dag": {"tasks": tasks, **({"outputs": outputs} if outputs else {})},
            **_interface(inputs or {}, {}),
        },
        **more,
    }
    return copy.deepcopy(document)


def one_step(executor: Document, **inputs: Document) -> Document:
    """A pipeline of one task, whose inputs are those of the pipeline."""
    taken = {name: outer(name) for name in inputs}
    return pipeline(
        {"say": task("say", parameters=taken)}, {"say": component("say", inputs)}, {"say": executor}, inputs=inputs
    )


def text_of(*documents: Document) -> str:
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def reading(*documents: Document, network: bool = False) -> Reading:
    return read_graph(read_spec(text_of(*documents), FILE), network=network)
