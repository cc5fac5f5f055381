from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiffin_pipeline.kubeflow import place_of
from tiffin_pipeline.main import main

MODULE = """
from tiffin_pipeline import Dataset, Metrics, Model, Output, Status, step


@step
def fit(rows: Dataset, model: Output[Model], scores: Output[Metrics], depth: int = 4, name: str = "") -> float:
    assert type(depth) is int
    model.path.write_text(f"{rows.path.read_text()} {depth} {name} {rows.metadata['rows']}")
    model.metadata["depth"] = depth
    scores.log("accuracy", 0.9)
    return 0.5


@step
def choose(models: list[Model]) -> str:
    return "".join(model.path.read_text() for model in models)


@step
def tell(how: Status) -> str:
    return f"{how.state}: {how.error}"


@step
def fail() -> None:
    raise ValueError("on purpose")
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps_of_a_pod.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


def asked(function: str, said: dict[str, Any]) -> int:
    return main(["kubeflow", "steps_of_a_pod", function, "--executor_input", json.dumps(said)])


def artifact(path: Path, **metadata: Any) -> dict[str, Any]:
    one = {"name": path.name, "uri": f"s3://bucket/{path.name}", "customPath": str(path), "metadata": metadata}
    return {"artifacts": [one]}


def test_a_step_is_done_as_the_launcher_orders_it(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("1,2")
    model, scores, answer, value = (tmp_path / name for name in ("model", "scores", "answer/output.json", "value"))
    said = {
        "inputs": {
            "parameterValues": {"depth": 3.0, "name": "deep", "tiffin--environment": "sha256:1"},
            "artifacts": {"rows": artifact(tmp_path / "rows", rows=7)},
        },
        "outputs": {
            "artifacts": {"model": artifact(model), "scores": artifact(scores)},
            "parameters": {"output": {"outputFile": str(value)}},
            "outputFile": str(answer),
        },
    }
    assert asked("fit", said) == 0
    assert model.read_text() == "1,2 3 deep 7"
    assert value.read_text() == "0.5"
    told = json.loads(answer.read_text())["artifacts"]
    assert told["model"]["artifacts"][0]["metadata"] == {"depth": 3}
    assert told["scores"]["artifacts"][0] == {
        "name": "scores",
        "uri": "s3://bucket/scores",
        "metadata": {"accuracy": 0.9},
    }


def test_several_artifacts_are_a_list(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    several = {"artifacts": [*artifact(tmp_path / "a")["artifacts"], *artifact(tmp_path / "b")["artifacts"]]}
    value = tmp_path / "value"
    outputs = {"parameters": {"output": {"outputFile": str(value)}}}
    assert asked("choose", {"inputs": {"artifacts": {"models": several}}, "outputs": outputs}) == 0
    assert value.read_text() == "ab"


def test_how_something_ended_is_told_in_our_words(tmp_path: Path) -> None:
    value = tmp_path / "value"
    status = {"state": "FAILED", "pipelineTaskName": "exit-handler-1", "error": {"code": 9, "message": "no room"}}
    outputs = {"parameters": {"output": {"outputFile": str(value)}}}
    assert asked("tell", {"inputs": {"parameterValues": {"how": status}}, "outputs": outputs}) == 0
    assert value.read_text() == "FAILED: no room"


def test_a_step_that_raises_ends_with_1_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("fail", {}) == 1
    assert "on purpose" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://bucket/a/b", "/s3/bucket/a/b"),
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("minio://bucket/a", "/minio/bucket/a"),
        ("oci://registry/team/iris:1", "/oci/registry_team_iris:1/models"),
    ],
)
def test_files_lie_where_the_launcher_has_them(uri: str, path: str) -> None:
    assert place_of({"uri": uri}) == path
