"""A project's pipeline is compiled, its steps' image pushed, and the specification run by the launcher's contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from programs.registry import registry

PROJECT = """
name = "story"

[model]
path = "model.joblib"

[python]
dependencies = ["six"]
"""
STEPS = """
from tiffin_pipeline import (
    Dataset, Metrics, Model, Output, Status, collect, first, for_each, on_exit, otherwise, pipeline, step, when,
)


@step
def split(rows: Dataset, train: Output[Dataset], test: Output[Dataset], share: float = 0.5) -> None:
    lines = rows.path.read_text().splitlines()
    half = int(len(lines) * share)
    train.path.write_text(" ".join(lines[:half]))
    test.path.write_text(" ".join(lines[half:]))


@step(env={"WORD": "deep"})
def fit(train: Dataset, model: Output[Model], depth: int = 4) -> None:
    import os
    import six  # noqa: F401 - of the environment
    model.path.write_text(f"{os.environ['WORD']} {depth * 2} of {train.path.read_text()}")


@step
def choose(models: list[Model], best: Output[Model]) -> str:
    texts = [model.path.read_text() for model in models]
    best.path.write_text(max(texts))
    return max(texts)


@step
def evaluate(model: Model, test: Dataset, scores: Output[Metrics]) -> float:
    scores.log("accuracy", 0.75)
    return 0.75


@step
def say(text: str) -> str:
    return text


@step
def tell(how: Status) -> None:
    print(how.state)


@pipeline
def retrain(rows: Dataset, depth: int = 4, target: float = 0.5):
    with on_exit(tell):
        parts = split(rows=rows)
        with for_each([1, 2, 3], parallel=2) as d:
            tried = fit(train=parts.train, depth=d)
        best = choose(models=collect(tried.model))
        scores = evaluate(model=best.best, test=parts.test)
        with when(scores.output > target):
            one = say(f"good: {scores.output}")
        with otherwise():
            other = say("bad")
        said = say(first(one.output, other.output))
    return {"said": said.output, "best": best.output}
"""


def tiffin(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tiffin", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.program("docker-registry")
def test_a_pipeline_gives_on_kubeflows_terms_what_it_gives_here(home: Path, tmp_path: Path) -> None:  # noqa: ARG001 - set
    folder, spec = tmp_path / "project", tmp_path / "retrain.yaml"
    folder.mkdir()
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "pipeline.py").write_text(STEPS)
    (folder / "rows.csv").write_text("1\n2\n3\n4\n")
    rows = f"rows={folder / 'rows.csv'}"
    with registry() as address:
        assert tiffin(
            "pipeline", "compile", folder, "--to", "kubeflow", "--push", f"{address}/team/story", "-o", spec
        ) == (f"{spec}\n")
        assert f"image: {address}/team/story@sha256:" in spec.read_text()
        there = json.loads(tiffin("pipeline", "run", spec, "-p", rows, "--json"))
    here = json.loads(tiffin("pipeline", "run", folder, "-p", rows, "--json"))
    assert there["outputs"] == here["outputs"] == {"said": "good: 0.75", "best": "deep 6 of 1 2"}
