"""A project's environment image, and its steps in it: before there is a model, and as they were when the run began."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest

from tiffin.api.building.build import build_image, prepare
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import container_bench, environment_of, native_bench, trace
from tiffin.build.recipes import Metadata
from tiffin.engine.plan import is_own
from tiffin.errors import ConfigError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.containers import ContainerBench
from tiffin.pipeline.benches.native import NativeBench
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Input, Order
from tiffin.progress import Event as Progress
from tiffin.progress import Finished, listening

PROJECT = """
name = "steps"

[model]
path = "model.joblib"

[python]
dependencies = ["six"]
"""
STEPS = """
from tiffin_pipeline import Dataset, Metrics, Model, Output, pipeline, step

@step
def fit(rows: Dataset, model: Output[Model], scores: Output[Metrics], depth: int = 4) -> float:
    import os
    import six
    print("fits with six", six.__version__)
    with open(rows) as source, open(model, "w") as target:
        target.write(source.read() * depth)
    scores.log("accuracy", 0.5)
    model.metadata["depth"] = depth
    return depth / 2

@step
def fail() -> None:
    raise ValueError("a reason")

@step
def stop_here() -> None:
    breakpoint()

@pipeline
def retrain(rows: Dataset = "rows.csv", depth: int = 4):
    fit(rows=rows, depth=depth)
    fail()
    stop_here()
"""

Bench = ContainerBench | NativeBench


@pytest.fixture
def own(home: Path) -> Home:
    return Home(data=home / "data", cache=home / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "pipeline.py").write_text(STEPS)
    return folder


def heard(act: Callable[[], Any]) -> list[str]:
    """The names of what was done, and not taken from before."""
    events: list[Progress] = []
    with listening(events.append):
        act()
    return [event.name for event in events if isinstance(event, Finished) and not event.cached]


def done(bench: Bench, home: Home, name: str, folder: Path, **values: Any) -> tuple[Ended, list[str], Path]:
    """Do a step of the pipeline; how it ended, what it wrote, and where its outputs are."""
    step = trace(bench, home).steps[name]
    rows = folder.parent / "rows.csv"
    rows.write_text("row\n")
    given = Input(digest=Digest.of(b"row\n"), path=rows, name="rows.csv", type="Dataset")
    out = folder.parent / f"out-{name}-{len(list(folder.parent.iterdir()))}"
    out.mkdir()
    inputs = {"rows": (given,)} if "rows" in step.inputs else {}
    order = Order(run="run", task=name, attempt=1, step=step, values=values, inputs=inputs, folder=out)
    lines: list[str] = []
    return bench.do(order, lines.append, Event()), lines, out


def test_a_project_without_a_model_has_an_environment_and_no_image_yet(folder: Path, own: Home) -> None:
    image = environment_of(folder, own)
    assert (folder / "pylock.tiffin.toml").exists()
    assert find_image(own.store, "steps:environment").descriptor.digest == image.descriptor.digest
    assert is_own(image.config.config.labels)
    with pytest.raises(TiffinError, match=r"model\.joblib"):
        prepare(folder, locked=False, home=own)
    assert heard(lambda: environment_of(folder, own, locked=True)) == []


def test_neither_a_model_nor_an_edit_changes_it_and_its_layers_are_those_of_the_image(folder: Path, own: Home) -> None:
    before = environment_of(folder, own)
    (folder / "predict.py").write_text("class Predictor:\n    def predict(self, x):\n        return x\n")
    (folder / "tiffin.toml").write_text(PROJECT.replace('path = "model.joblib"', 'predictor = "predict:Predictor"'))
    image = build_image(folder, tag="", locked=False, home=own)[1]
    assert environment_of(folder, own).descriptor == before.descriptor
    layers = before.manifest.layers
    assert image.manifest.layers[: len(layers)] == layers
    plan = prepare(folder, locked=False, home=own)[2]
    assert any(isinstance(recipe, Metadata) for recipe in plan.recipes[len(layers) :])


@pytest.mark.parametrize("make", [container_bench, native_bench])
def test_a_function_takes_and_gives_what_it_says(make: Callable[..., Bench], folder: Path, own: Home) -> None:
    ended, lines, out = done(make(folder, own), own, "fit", folder, depth=2)
    assert (ended.exit_code, ended.reason) == (0, "")
    assert ended.metadata["model"] == {"depth": 2}
    assert (out / FILES / "model").read_text() == "row\nrow\n"
    assert json.loads((out / FILES / "scores").read_text()) == {"accuracy": 0.5}
    assert (out / VALUES / "output").read_text() == "1.0"
    assert {path.name for path in out.iterdir()} == {FILES, VALUES}
    assert [line[:13] for line in lines] == ([] if make is native_bench else ["fits with six"])


def test_what_a_function_raises_is_told_by_the_line_that_raised_it(folder: Path, own: Home) -> None:
    ended, lines, _ = done(container_bench(folder, own), own, "fail", folder)
    assert ended.exit_code == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert 'File "/pipeline/pipeline.py", line' in lines[1]
    assert lines[-1] == "ValueError: a reason"


def test_natively_it_is_told_on_the_terminal(folder: Path, own: Home, capsys: pytest.CaptureFixture[str]) -> None:
    ended, lines, _ = done(native_bench(folder, own), own, "fail", folder)
    said = capsys.readouterr().err
    assert (ended.exit_code, lines) == (1, [])
    assert f'File "{folder}/pipeline.py", line' in said
    assert "ValueError: a reason" in said


def test_natively_a_breakpoint_stops_in_this_process(folder: Path, own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stopped.append(sys._getframe(1).f_code.co_name))
    assert done(native_bench(folder, own), own, "stop_here", folder)[0].exit_code == 0
    assert stopped == ["stop_here"]


def test_natively_it_is_the_projects_own_module_whatever_else_is_called_so(
    folder: Path, own: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ModuleType("pipeline")
    monkeypatch.setitem(sys.modules, "pipeline", other)
    assert done(native_bench(folder, own), own, "fit", folder, depth=2)[0].exit_code == 0
    assert sys.modules["pipeline"] is other


def test_a_pipeline_is_read_alike_in_a_container_and_natively_and_once_for_its_code(folder: Path, own: Home) -> None:
    graph = trace(container_bench(folder, own), own)
    assert [task.name for task in graph.tasks()] == ["fit", "fail", "stop-here"]
    assert trace(native_bench(folder, own), own) == graph
    assert heard(lambda: trace(container_bench(folder, own), own)) == []
    assert heard(lambda: trace(native_bench(folder, own), own)) == []
    (folder / "pipeline.py").write_text(STEPS.replace("depth: int = 4) -> float", "depth: int = 5) -> float"))
    assert "read" in heard(lambda: trace(container_bench(folder, own), own))


@pytest.mark.parametrize("make", [container_bench, native_bench])
@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [
        ("import no_such_package\n", r"pipeline\.py:1: .*no_such_package", r"\[python\] dependencies"),
        ("def (\n", r"pipeline\.py:1: .*SyntaxError", ""),
        ("print('nothing')\n", r"pipeline\.py: no pipeline", "@pipeline"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(
    make: Callable[..., Bench], code: str, words: str, hint: str, folder: Path, own: Home
) -> None:
    (folder / "pipeline.py").write_text(code)
    with pytest.raises(ConfigError, match=words) as caught:
        trace(make(folder, own), own)
    assert re.search(hint, str(caught.value.hint))


def test_an_edit_while_it_runs_changes_nothing_of_the_run(folder: Path, own: Home) -> None:
    bench = container_bench(folder, own)
    step = trace(bench, own).steps["fit"]
    identity = bench.identity(step)
    (folder / "pipeline.py").write_text(STEPS.replace("fits with six", "is edited with"))
    assert done(bench, own, "fit", folder, depth=1)[1][0].startswith("fits with six")
    assert bench.identity(step) == identity
    again = container_bench(folder, own)
    assert again.identity(step)["environment"] == identity["environment"]
    assert again.identity(step)["code"] != identity["code"]
    assert done(again, own, "fit", folder, depth=1)[1][0].startswith("is edited with")


def test_the_model_is_no_part_of_the_code(folder: Path, own: Home) -> None:
    (folder / "tiffin.toml").write_text(PROJECT + '\n[image]\ninclude = ["*"]\n')
    step = trace(container_bench(folder, own), own).steps["fit"]
    before = container_bench(folder, own).identity(step)
    (folder / "model.joblib").write_text("trained")
    assert container_bench(folder, own).identity(step) == before


def test_native_results_are_never_a_containers(folder: Path, own: Home) -> None:
    step = trace(native_bench(folder, own), own).steps["fit"]
    native, contained = native_bench(folder, own).identity(step), container_bench(folder, own).identity(step)
    assert native["native"].startswith("cpython-3.")
    assert native["code"] == native_bench(folder, own).reads_with()["code"] != contained["code"]
    assert native.keys() != contained.keys()


def test_no_step_compiles_what_it_imports_from_tiffin(folder: Path, own: Home) -> None:
    said: list[str] = []
    container_bench(folder, own).ask(["-v", "-c", "import tiffin_pipeline.main"], said.append, 60)
    compiled = [line for line in said if line.startswith("# code object from '/tiffin/pipeline/tiffin_pipeline/")]
    assert compiled
    assert all("/__pycache__/" in line for line in compiled), compiled


def test_a_step_is_known_by_its_own_code_and_its_lines_by_the_numbers_of_the_file(folder: Path, own: Home) -> None:
    bench = container_bench(folder, own)
    steps = trace(bench, own).steps
    before = {name: bench.identity(step)["code"] for name, step in steps.items()}
    (folder / "pipeline.py").write_text(
        STEPS.replace('print("fits with six"', '# longer\n    print("fits with six"').replace("rows.csv", "r.csv")
    )
    bench = container_bench(folder, own)
    assert [name for name, step in steps.items() if bench.identity(step)["code"] != before[name]] == ["fit"]
    raising = (folder / "pipeline.py").read_text().split("\n").index('    raise ValueError("a reason")') + 1
    assert done(bench, own, "fail", folder)[1][1] == f'  File "/pipeline/pipeline.py", line {raising}, in fail'


def test_a_pipeline_of_a_thousand_steps_is_read(folder: Path, own: Home) -> None:
    calls = "\n".join(f"    show(number={number})" for number in range(1000))
    (folder / "wide.py").write_text(
        f"from tiffin_pipeline import pipeline, step\n\n\n@step\ndef show(number: int) -> int:\n    return number\n\n\n"
        f"@pipeline\ndef wide():\n{calls}\n"
    )
    bench = container_bench(folder, own, ("wide.py",))
    assert len(list(trace(bench, own, "wide").tasks())) == 1000
