"""What a program left is taken to where steps leave their outputs, and its answer goes before its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiffin.pipeline.graph import Command, Port, Step
from tiffin.pipeline.kubeflow.collected import collect
from tiffin.pipeline.kubeflow.launcher import ANSWER, TOLD, URI, Where
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order

OWN = "minio://mlpipeline/v2/artifacts/tried/run7/fit"
PORTS = {
    "n": Port(type="int"),
    "f": Port(type="float"),
    "b": Port(type="bool"),
    "s": Port(type="str"),
    "d": Port(type="dict"),
    "model": Port(type="Model"),
    "scores": Port(type="Metrics"),
}


class Work:
    """An order whose program has ended, and what it is to have left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "order"
        self.where = Where(pipeline="tried", workspaces=folder / "workspaces")
        for name in (FILES, VALUES, TOLD):
            (self.folder / name).mkdir(parents=True)
        step = Step(name="fit", does=Command(argv=("x",), image="x", launcher=True), outputs=PORTS)
        self.order = Order(run="run7", task="fit", attempt=1, step=step, values={}, inputs={}, folder=self.folder)

    def answer(self, **answer: Any) -> None:
        (self.folder / TOLD / ANSWER).write_text(json.dumps(answer))

    def wrote(self, name: str, text: str) -> None:
        kind = FILES if name not in PORTS or not PORTS[name].is_parameter else VALUES
        path = self.folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def collect(self, ended: Ended | None = None) -> Ended:
        return collect(self.order, self.where, ended or Ended())

    def value(self, name: str) -> str:
        return (self.folder / VALUES / name).read_text()

    def file(self, name: str) -> str:
        return (self.folder / FILES / name).read_text()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def said(**artifact: Any) -> dict[str, Any]:
    return {"artifacts": [artifact]}


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("n", " 3.0\n", "3"),
        ("n", "1e3", "1000"),
        ("f", "0.50 ", "0.5"),
        ("b", "True\n", "true"),
        ("b", "0", "false"),
        ("s", " as it is\n", " as it is\n"),
        ("d", '{"b": 1.0, "a": [2]}', '{"a":[2],"b":1}'),
        ("n", "many", "many"),
        ("n", "1_000", "1_000"),
        ("b", "yes", "yes"),
        ("d", "{", "{"),
    ],
)
def test_a_value_that_go_would_read_is_written_as_json_and_any_other_is_left_to_be_refused(
    work: Work, name: str, written: str, read: str
) -> None:
    work.wrote(name, written)
    assert work.collect() == Ended()
    assert work.value(name) == read


def test_the_answers_values_go_before_the_files(work: Work) -> None:
    work.wrote("n", "1")
    work.answer(parameterValues={"n": 3.0, "s": "text", "d": {"a": 1.0}, "unknown": 1})
    assert work.collect() == Ended()
    assert (work.value("n"), work.value("s"), work.value("d")) == ("3", "text", '{"a":1}')
    assert not (work.folder / VALUES / "unknown").exists()


def test_a_program_that_failed_leaves_nothing(work: Work) -> None:
    work.wrote("n", " 3.0")
    ended = Ended(exit_code=2)
    assert work.collect(ended) is ended
    assert work.value("n") == " 3.0"


def test_what_was_not_written_is_an_empty_file_and_of_metrics_their_numbers(work: Work) -> None:
    facts = {"accuracy": 0.97, "steps": 3.0, "name": "x", "good": True, "huge": 1e400}
    work.answer(artifacts={"scores": said(metadata={**facts, "huge": 0}), "model": said(metadata={"framework": "x"})})
    assert work.collect().metadata == {"scores": {**facts, "huge": 0}, "model": {"framework": "x"}}
    assert work.file("model") == ""
    assert json.loads(work.file("scores")) == {"accuracy": 0.97, "steps": 3, "huge": 0}


def test_an_address_elsewhere_is_a_fact_about_the_artifact_and_its_content(work: Work) -> None:
    work.answer(artifacts={"model": said(uri="oci://registry.test/m:1")})
    assert work.collect().metadata == {"model": {URI: "oci://registry.test/m:1"}}
    assert work.file("model") == "oci://registry.test/m:1"


def test_an_artifact_that_was_written_under_another_name_comes_under_its_own(work: Work) -> None:
    work.wrote("other/deep.txt", "weights")
    work.answer(artifacts={"model": said(uri=f"{OWN}/other/deep.txt"), "scores": said(uri=f"{OWN}/scores")})
    assert work.collect() == Ended()
    assert work.file("model") == "weights"
    assert sorted(path.name for path in (work.folder / FILES).iterdir()) == ["model", "scores"]


def test_a_folder_that_was_written_under_another_name_takes_the_place_of_its_own(work: Work) -> None:
    work.wrote("model", "draft")
    work.wrote("other/deep.txt", "weights")
    work.answer(artifacts={"model": said(uri=f"{OWN}/other")})
    work.collect()
    assert work.file("model/deep.txt") == "weights"


def test_an_artifact_in_the_workspace_is_taken_from_there(work: Work) -> None:
    space = work.where.workspace(work.order)
    assert space is not None
    space.mkdir(parents=True)
    (space / "m").write_text("weights")
    work.answer(artifacts={"model": said(customPath="/kfp-workspace/m")})
    work.collect()
    assert work.file("model") == "weights"


def test_what_lies_beside_the_outputs_is_no_output(work: Work) -> None:
    work.wrote("model", "weights")
    work.wrote("notes/x", "y")
    (work.folder / FILES / "link").symlink_to("/etc/passwd")
    (work.folder / VALUES / "model").write_text("z")
    work.collect()
    assert sorted(path.name for path in (work.folder / FILES).iterdir()) == ["model", "scores"]
    assert list((work.folder / VALUES).iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("{", "is no ExecutorOutput"),
        ('{"surprise": 1}', "is no ExecutorOutput: Object contains unknown field `surprise`"),
        ('{"artifacts": {"model": {"artifacts": [{"customPath": "/tmp/x"}]}}}', "which is gone with its container"),
        ('{"artifacts": {"model": {"artifacts": [{"metadata": 3}]}}}', "is no ExecutorOutput"),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_reason_why_it_failed(work: Work, answer: str, reason: str) -> None:
    (work.folder / TOLD / ANSWER).write_text(answer)
    assert reason in work.collect().reason


def test_an_answer_that_is_a_link_or_a_folder_is_not_read(work: Work) -> None:
    (work.folder / TOLD / ANSWER).symlink_to("/etc/passwd")
    assert "is no file" in work.collect().reason


def test_links_out_of_the_folder_are_not_followed(work: Work, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (work.folder / FILES / "out").symlink_to(secret)
    (work.folder / VALUES / "n").symlink_to(secret / "key")
    work.answer(parameterValues={"n": 3.0}, artifacts={"model": said(uri=f"{OWN}/out/key")})
    assert "through a link" in work.collect().reason
    assert (secret / "key").read_text() == "secret"
