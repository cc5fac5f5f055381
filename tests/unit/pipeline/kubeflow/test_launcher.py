"""An order becomes what the launcher would run: a command, an environment, and places for what it reads and writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiffin.engine.spec import Mount
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import (
    Command,
    Executor,
    Function,
    IfGiven,
    InputPath,
    Joined,
    OutputPath,
    Port,
    Step,
    Value,
    Word,
)
from tiffin.pipeline.kubeflow.launcher import URI, Where, launch, local_path
from tiffin.pipeline.workbench import Input, Order

WHERE = Where(pipeline="tried")
AT = "mlpipeline/v2/artifacts/tried"
DIGEST = Digest.of(b"rows")
ROWS = Input(digest=DIGEST, path=Path("/data/x1"), name="rows", type="Dataset", metadata={"lines": 3})


def order(*words: str | Word, task: str = "fit", **given: Any) -> Order:
    ports = {
        "inputs": {
            "n": Port(type="int"),
            "text": Port(type="str", optional=True),
            "more": Port(type="float", default=0.5),
            "rows": Port(type="Dataset", optional=True),
            "status": Port(type="status", optional=True),
        },
        "outputs": {"model": Port(type="Model"), "made": Port(type="google.VertexModel"), "score": Port(type="float")},
    }
    step = Step(name="fit", does=Command(argv=words, image="x", launcher=True), env={"A": "1"}, **ports)
    settings = {"values": {}, "inputs": {}, "attempt": 1} | given
    return Order(run="run7", task=task, step=step, folder=Path("/work/order"), **settings)


def argv(*words: str | Word, **given: Any) -> tuple[str, ...]:
    return launch(order(*words, **given), WHERE).argv


def test_words_are_said_as_the_launcher_says_them() -> None:
    found = argv(
        "fit",
        Value(input="n"),
        Value(input="more"),
        Joined(words=("--rows=", InputPath(input="rows"))),
        InputPath(input="rows", uri=True),
        OutputPath(output="model"),
        OutputPath(output="model", uri=True),
        OutputPath(output="score"),
        Executor(answer=True),
        values={"n": 3},
        inputs={"rows": (ROWS,)},
    )
    assert found == (
        "fit",
        "3",
        "0.5",
        f"--rows=/minio/{AT}/{DIGEST.hex}/rows",
        f"minio://{AT}/{DIGEST.hex}/rows",
        f"/minio/{AT}/run7/fit/model",
        f"minio://{AT}/run7/fit/model",
        "/tmp/kfp/outputs/score",
        "/tmp/kfp_outputs/output_metadata.json",
    )


def test_nothing_takes_the_place_of_what_is_not_given() -> None:
    words = (Value(input="text"), InputPath(input="rows"), InputPath(input="rows", uri=True))
    assert argv(*words) == (
        "{{$.inputs.parameters['text']}}",
        "{{$.inputs.artifacts['rows'].path}}",
        "{{$.inputs.artifacts['rows'].uri}}",
    )


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("text", {"values": {"text": ""}}, ("yes", "")),
        ("text", {"values": {"text": None}}, ("no",)),
        ("text", {}, ("no",)),
        ("more", {}, ("yes", "0.5")),
        ("rows", {"inputs": {"rows": ()}}, ("no",)),
        ("rows", {"inputs": {"rows": (ROWS,)}}, ("yes", f"/minio/{AT}/{DIGEST.hex}/rows")),
    ],
)
def test_words_depend_on_what_is_given(name: str, given: dict[str, Any], words: tuple[str, ...]) -> None:
    own = InputPath(input=name) if name == "rows" else Value(input=name)
    assert argv(IfGiven(input=name, then=("yes", own), otherwise=("no",)), **given) == words


def test_the_executor_input_is_all_that_a_task_takes_and_gives() -> None:
    (text,) = argv(Executor(), values={"n": 3, "text": "<ä>"}, inputs={"rows": (ROWS,)})
    assert "<ä>" in text
    assert json.loads(text) == {
        "inputs": {
            "parameterValues": {"n": 3, "text": "<ä>", "more": 0.5},
            "artifacts": {
                "rows": {
                    "artifacts": [
                        {
                            "name": "rows",
                            "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
                            "uri": f"minio://{AT}/{DIGEST.hex}/rows",
                            "metadata": {"lines": 3},
                        }
                    ]
                }
            },
        },
        "outputs": {
            "parameters": {"score": {"outputFile": "/tmp/kfp/outputs/score"}},
            "artifacts": {
                name: {
                    "artifacts": [
                        {
                            "name": name,
                            "type": {"schemaTitle": title, "schemaVersion": "0.0.1"},
                            "uri": f"minio://{AT}/run7/fit/{name}",
                            "metadata": {},
                        }
                    ]
                }
                for name, title in (("model", "system.Model"), ("made", "google.VertexModel"))
            },
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }


def test_inputs_are_mounted_read_only_and_outputs_where_their_addresses_say() -> None:
    found = launch(order("x", inputs={"rows": (ROWS, ROWS)}, task="fit[2,0]"), WHERE)
    assert found.mounts == (
        Mount(source="/data/x1", target=f"/minio/{AT}/{DIGEST.hex}/rows"),
        Mount(source="/work/order/artifacts", target=f"/minio/{AT}/run7/fit/2/0", read_only=False),
        Mount(source="/work/order/parameters", target="/tmp/kfp/outputs", read_only=False),
        Mount(source="/work/order/launcher", target="/tmp/kfp_outputs", read_only=False),
    )
    assert [folder.name for folder in found.folders] == ["artifacts", "parameters", "launcher"]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://b/k/x", "/minio/b/k/x"),
        ("gs://b/k", "/gcs/b/k"),
        ("s3://b/k", "/s3/b/k"),
        ("oci://registry.test/a/b:1", "/oci/registry.test_a_b:1/models"),
        ("https://x/y", ""),
        ("/some/path", ""),
        ("minio://b/../../etc", ""),
        ("oci://..", "/oci/../models"),
    ],
)
def test_an_address_has_the_place_that_the_launcher_gives_it(uri: str, path: str) -> None:
    assert local_path(uri) == ("" if ".." in path else path)


def test_an_artifact_with_an_address_of_its_own_lies_there() -> None:
    models = msgspec.structs.replace(ROWS, uri="oci://registry.test/m:1")
    told = msgspec.structs.replace(ROWS, metadata={URI: "gs://b/k"})
    found = [argv(InputPath(input="rows"), Executor(), inputs={"rows": (each,)}) for each in (models, told)]
    assert [paths[0] for paths in found] == ["/oci/registry.test_m:1/models", "/gcs/b/k"]
    assert URI not in found[1][1]


def test_a_program_is_told_who_it_is_and_which_try_it_is() -> None:
    first, second = (launch(order("x", task="fit[2]", attempt=attempt), WHERE).env for attempt in (1, 2))
    assert first["A"] == "1"
    assert (first["KFP_POD_NAME"], first["KFP_RETRY_INDEX"]) == ("run7-fit-2-1", "0")
    assert second["KFP_RETRY_INDEX"] == "1"
    assert first["KFP_POD_UID"] != second["KFP_POD_UID"]
    assert launch(order("x", task="fit[2]"), WHERE).env == first


@pytest.mark.parametrize("error", ["", "fit failed"])
def test_how_a_task_ended_is_said_as_kubeflow_says_it(error: str) -> None:
    state = "FAILED" if error else "SUCCEEDED"
    (text,) = argv(Value(input="status"), values={"status": {"state": state, "error": error}})
    assert json.loads(text) == {
        "state": state,
        "pipelineJobResourceName": "run7",
        "pipelineTaskName": "",
        "error": {"code": 9, "message": error} if error else {},
    }


def test_a_constant_may_be_something_of_the_run() -> None:
    values = {"text": "{{$.pipeline_job_name}}"}
    assert argv(Value(input="text"), values=values) == ("run7",)
    assert argv(Value(input="text"), values={"text": "{{$.pipeline_task_name}}"}) == ("fit",)
    (first,), (second,) = (argv(Value(input="text"), values={"text": "{{$.pipeline_job_uuid}}"}) for _ in range(2))
    assert first == second
    assert len(first) == 36


def test_a_workspace_is_mounted_where_a_value_names_it_and_refused_where_there_is_none() -> None:
    told = order("x", values={"text": "/kfp-workspace/x"})
    found = launch(told, Where(pipeline="tried", workspaces=Path("/work/spaces")))
    assert found.mounts[-1] == Mount(source="/work/spaces/run7", target="/kfp-workspace", read_only=False)
    assert launch(order("x"), Where(pipeline="tried", workspaces=Path("/w"))).mounts[-1].target != "/kfp-workspace"
    with pytest.raises(UnsupportedError, match="is given a path of a workspace") as caught:
        launch(told, WHERE)
    assert caught.value.hint


def test_a_step_that_is_no_component_is_refused() -> None:
    step = Step(name="fit", does=Function(module="pipeline", name="fit"))
    with pytest.raises(UnsupportedError, match="fit is no component"):
        launch(msgspec.structs.replace(order("x"), step=step), WHERE)
