"""Runs are looked at by the folder of their project: how they are, why a step was done, what it wrote and measured."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.run import typed_arguments
from tiffin.api.pipelines.runs import (
    Meant,
    framed_run,
    history,
    is_spec,
    logs,
    marks_of,
    metrics,
    place_of,
    plotted,
    runs_of,
    status,
    why,
)
from tiffin.cli.pipeline_progress import line_of
from tiffin.errors import ConfigError, NotFoundError
from tiffin.pipeline.graph import Argument, Function, Graph, Output, Port, Step, Task
from tiffin.pipeline.pictures.svg import svg
from tiffin.pipeline.running.ledger import Event, Planned, TaskEnded, begun
from tiffin.pipeline.running.means import Means, RunOptions
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.running.runs import Run
from unit.pipeline.memory_bench import MemoryBench, Work

PROJECT = 'name = "shop"\n[model]\npath = "model.joblib"\n'
GRAPH = Graph(
    name="retrain",
    parameters={"depth": Port(type="int", default=3)},
    steps={
        "fit": Step(
            name="fit",
            does=Function(module="pipeline", name="fit"),
            inputs={"depth": Port(type="int")},
            outputs={"model": Port(type="Model")},
        ),
        "measure": Step(
            name="measure",
            does=Function(module="pipeline", name="measure"),
            inputs={"model": Port(type="Model")},
            outputs={"scores": Port(type="Metrics")},
        ),
    },
    body=(
        Task(name="fit", step="fit", inputs={"depth": Argument(name="depth")}),
        Task(name="measure", step="measure", inputs={"model": Output(task="fit", name="model")}),
    ),
    outputs={"model": Output(task="fit", name="model")},
)


class Shop:
    """A project whose pipeline is run by a table of functions."""

    def __init__(self, folder: Path, home: Home) -> None:
        (folder / "tiffin.toml").write_text(PROJECT)
        self.meant, self.home, self.events = Meant(what=folder), home, list[Event]()
        self.bench = MemoryBench({"fit": self.fit, "measure": self.measure})

    def fit(self, work: Work) -> None:
        work.said(f"depth {work['depth']}")
        work.give(model=b"m" * work["depth"])

    def measure(self, work: Work) -> None:
        work.give(scores=b'{"accuracy": 0.%d}' % len(work.read("model")))

    def run(self, depth: int = 3, **options: object) -> Run:
        means = Means(
            workbench=self.bench,
            results=self.home.results,
            look=self.home.contents.input,
            changed=self.home.contents.changed,
        )
        with begun(place_of(self.home, "shop", "retrain"), Planned(graph=GRAPH)) as ledger:
            ledger.told = self.events.append
            return run_pipeline(GRAPH, {"depth": depth}, means, ledger, RunOptions(**options), threading.Event())  # type: ignore[arg-type]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path / "home"))
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder, Home.of())


def test_a_pipeline_that_was_never_run_has_no_runs(shop: Shop) -> None:
    with pytest.raises(NotFoundError, match="has been run"):
        runs_of(shop.meant)
    shop.run()
    with pytest.raises(NotFoundError, match="called 'other'"):
        runs_of(Meant(what=shop.meant.what, name="other"))


def test_the_latest_run_is_meant_unless_one_is_named(shop: Shop) -> None:
    first, second = shop.run(), shop.run()
    assert status(shop.meant)[0].id == second.id
    assert status(shop.meant, first.id)[0].id == first.id
    with pytest.raises(NotFoundError, match="no run 7"):
        status(shop.meant, "7")


def test_states_are_told_in_words_that_pictures_share(shop: Shop) -> None:
    shop.run()
    assert {name: marks[0].state for name, marks in marks_of(shop.run()).items()} == {"fit": "kept", "measure": "kept"}
    shop.bench.fail("measure")
    marks = marks_of(shop.run(4))
    assert (marks["fit"][0].state, marks["measure"][0].state) == ("done", "failed")
    rows = history(shop.meant)
    assert [row.steps for row in rows] == [{"done": 1, "failed": 1}, {"kept": 2}, {"done": 2}]
    assert [row.state.value for row in rows] == ["failed", "succeeded", "succeeded"]


def test_a_line_tells_how_each_step_ended(shop: Shop) -> None:
    shop.run()
    shop.run()
    shop.bench.fail("fit")
    shop.run(4)
    told = [line_of(event) for event in shop.events if isinstance(event, TaskEnded)]
    assert [line.partition("(")[0].rstrip() for line in told] == [
        "done      fit",
        "done      measure",
        "kept      fit",
        "kept      measure",
        "failed    fit: exit code 1",
        "skipped   measure: fit failed",
    ]


def test_why_says_what_changed_since_the_run_before(shop: Shop) -> None:
    shop.run()
    (first,) = why(shop.meant, "fit")
    assert (first.changes, first.before) == ((), "")
    shop.run(5)
    (changed,) = why(shop.meant, "fit")
    assert changed.changes == ("the parameter depth: 3 -> 5, the pipeline's depth",)
    (then,) = why(shop.meant, "measure")
    assert then.changes[0].startswith("the input model: sha256:")
    shop.run(5)
    assert why(shop.meant, "fit")[0].kept
    with pytest.raises(NotFoundError, match="no step 'fitt'"):
        why(shop.meant, "fitt")


def test_what_a_kept_step_wrote_is_found_where_it_was_done(shop: Shop) -> None:
    shop.run(3)
    shop.run(4)
    shop.run(3)
    assert list(logs(shop.meant, "fit")) == ["depth 3"]
    assert list(logs(shop.meant, "fit", runs_of(shop.meant).ids()[1])) == ["depth 4"]


def test_a_log_is_followed_until_its_step_has_ended(shop: Shop) -> None:
    held = shop.bench.hold("fit")
    running = threading.Thread(target=shop.run)
    running.start()
    held.reached()
    found = list[str]()
    reading = threading.Thread(target=lambda: found.extend(logs(shop.meant, "fit", follow=True)))
    reading.start()
    held.open()
    reading.join(30)
    running.join(30)
    assert found == ["depth 3"]


def test_metrics_are_gathered_over_runs(shop: Shop) -> None:
    with pytest.raises(NotFoundError):
        plotted(shop.meant)
    for depth in (3, 4):
        shop.run(depth)
    assert [run.numbers for run in metrics(shop.meant)] == [{"measure.accuracy": 0.3}, {"measure.accuracy": 0.4}]
    assert "measure.accuracy" in plotted(shop.meant)
    assert 'class="task done"' in svg(*framed_run(shop.meant))


def test_compiled_pipelines_are_told_by_their_name(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    assert is_spec(Path("spec.yaml"))
    assert not is_spec(tmp_path / "folder.yaml")
    assert not is_spec(Path())


def test_arguments_are_names_and_values() -> None:
    assert typed_arguments(("a=1", "b=x=y", "c=")) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (("a",), ("=1",), ("a=1", "a=2")):
        with pytest.raises(ConfigError):
            typed_arguments(wrong)
