"""Pipelines of ours are what kfp compiles of the same ones, as Kubeflow's own messages read both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as messages

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.tasks import ENVIRONMENT
from tiffin.pipeline.kubeflow.write import pipeline_spec, prove
from unit.pipeline.kubeflow.twins import TWINS

KFP = Path(__file__).parent / "kfp"


def read(document: dict[str, Any]) -> dict[str, Any]:
    """What Kubeflow's messages make of a specification, but for what is not the pipeline's."""
    spec = json_format.MessageToDict(json_format.ParseDict(document, messages.PipelineSpec()))
    executors = json_format.ParseDict(spec["deploymentSpec"], messages.PipelineDeploymentConfig())
    spec["deploymentSpec"] = json_format.MessageToDict(executors)
    del spec["sdkVersion"]
    for dag in [spec["root"]["dag"], *(one["dag"] for one in spec["components"].values() if "dag" in one)]:
        for task in dag["tasks"].values():
            task.get("cachingOptions", {}).pop("cacheKey", None)
            task.get("inputs", {}).get("parameters", {}).pop(ENVIRONMENT, None)
    return dict(spec)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_a_pipeline_is_what_kfp_compiles_of_it(twin: Callable[[], Graph]) -> None:
    graph = twin()
    document = pipeline_spec(graph, Images())
    prove(document)
    assert read(document) == read(yaml.safe_load((KFP / f"{graph.name}.yaml").read_text()))


def test_every_pipeline_that_kfp_compiled_has_a_twin() -> None:
    assert {f"{twin().name}.yaml" for twin in TWINS} == {path.name for path in KFP.glob("*.yaml")}
