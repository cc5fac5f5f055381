"""A function under @pipeline is traced into the graph that the tool runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.pipeline.graph import (
    Argument,
    Command,
    Compare,
    Constant,
    Every,
    FirstOf,
    ForEach,
    Function,
    Graph,
    Group,
    InputPath,
    Item,
    Joined,
    Not,
    Output,
    OutputPath,
    Part,
    Place,
    Port,
    Resources,
    Retry,
    Some,
    Status,
    Task,
    Text,
    Value,
    When,
)
from unit.tiffin_pipeline.writing import STEPS, document, written

FETCH = (
    STEPS
    + """
fetch = command("fetch", "curl", "-o", out("data"), "--url=" + value("url"), path("proxy"), image="registry/curl:8",
                inputs={"url": str, "proxy": Dataset, "times": 3}, outputs={"data": Dataset}, network=True, gpus=1)
@pipeline
def get(proxy: Dataset):
    fetch(url="https://x", proxy=proxy)
"""
)


def tasks(graph: Graph) -> dict[str, Task]:
    return {task.name: task for task in graph.tasks()}


def test_calls_become_tasks_that_read_each_others_outputs(tmp_path: Path) -> None:
    graph = written(
        """
        parts = split(rows)
        fitted = fit(train=parts.train, depth=depth)
        return score(fitted.model, parts.test).output
        """,
        tmp_path,
        'rows: Dataset = "data/rows.csv", depth: int = 4',
    )
    assert graph.parameters == {
        "rows": Port(type="Dataset", optional=True, default="data/rows.csv"),
        "depth": Port(type="int", optional=True, default=4),
    }
    assert tasks(graph)["fit"].inputs == {
        "train": Output(task="split", name="train"),
        "depth": Argument(name="depth"),
    }
    assert graph.steps["score"].outputs == {"scores": Port(type="Metrics"), "output": Port(type="float")}
    assert graph.outputs == {"output": Output(task="score", name="output")}


def test_everything_has_the_line_that_it_was_written_at(tmp_path: Path) -> None:
    graph = written("parts = split(rows)\nwith when(passed()):\n    fit(parts.train)", tmp_path)
    line = STEPS.count("\n") + 2
    assert graph.place == Place(file="pipeline.py", line=line - 1)
    assert [node.place for node in graph.body] == [
        Place(file="pipeline.py", line=line + 1),
        Place(file="pipeline.py", line=line + 2),
        Place(file="pipeline.py", line=line + 2),
    ]
    assert str(graph.steps["split"].place) == "pipeline.py:4"


def test_tasks_have_their_steps_names_with_numbers_and_dashes(tmp_path: Path) -> None:
    graph = written("""
        parts = split(rows)
        fit(parts.train).named("fit-2")
        fit(parts.train)
        fit(parts.train)
        """, tmp_path)  # fmt: skip
    assert list(tasks(graph)) == ["split", "fit-2", "fit", "fit-3"]


def test_branches_are_one_when(tmp_path: Path) -> None:
    body = """
        parts = split(rows)
        fitted = fit(parts.train)
        scores = score(fitted.model, parts.test)
        with when((scores.output > 0.9) & ~(scores.output == 1) | (depth < scores.output)):
            ship(fitted)
        with otherwise(sure):
            complain(scores.output)
        with otherwise():
            complain(0)
        """
    graph = written(body, tmp_path, "rows: Dataset, depth: int, sure: bool")
    node = graph.body[-1]
    assert isinstance(node, When)
    first, second, last = node.branches
    value = Output(task="score", name="output")
    assert first.condition == Some(
        of=(
            Every(
                of=(
                    Compare(left=value, operator=">", right=Constant(value=0.9)),
                    Not(of=Compare(left=value, operator="==", right=Constant(value=1))),
                )
            ),
            Compare(left=Argument(name="depth"), operator="<", right=value),
        )
    )
    assert second.condition == Compare(left=Argument(name="sure"), operator="==", right=Constant(value=True))
    assert last.condition is None
    assert [task.name for branch in node.branches for task in branch.body] == ["ship", "complain", "complain-2"]


def test_what_branches_give_is_read_by_first(tmp_path: Path) -> None:
    graph = written("""
        parts = split(rows)
        with when(passed()):
            deep = fit(parts.train, depth=9)
        with otherwise():
            flat = fit(parts.train, depth=1)
        ship(first(deep.model, flat))
        """, tmp_path)  # fmt: skip
    assert tasks(graph)["ship"].inputs["model"] == FirstOf(
        sources=(Output(task="fit", name="model"), Output(task="fit-2", name="model"))
    )


def test_loops_go_through_lists_and_are_collected(tmp_path: Path) -> None:
    graph = written("""
        parts = split(rows)
        with for_each([1, 2, 3], parallel=2) as depth:
            tried = fit(parts.train, depth=depth)
        with for_each(listed()) as one:
            fit(parts.train, depth=one.depth[0]["of"])
        ship(choose(collect(tried.model)))
        """, tmp_path)  # fmt: skip
    first, second = (node for node in graph.body if isinstance(node, ForEach))
    assert (first.items, first.parallel) == (Constant(value=[1, 2, 3]), 2)
    assert tasks(graph)["fit"].inputs["depth"] == Item(loop=first.name)
    assert second.items == Output(task="listed", name="output")
    assert tasks(graph)["fit-2"].inputs["depth"] == Part(of=Item(loop=second.name), path=("depth", 0, "of"))
    assert tasks(graph)["choose"].inputs["models"] == Output(task="fit", name="model")


def test_an_exit_step_comes_after_its_group_whatever_happened(tmp_path: Path) -> None:
    graph = written("""
        with on_exit(tell, text=f"{who} says {{}}") as told:
            parts = split(rows)
        fit(parts.train).after(told)
        """, tmp_path, "rows: Dataset, who: str")  # fmt: skip
    group, tell, fit = graph.body
    assert isinstance(group, Group)
    assert isinstance(tell, Task)
    assert (tell.after, tell.regardless) == ((group.name,), True)
    assert tell.inputs == {
        "how": Status(of=group.name),
        "text": Text(pieces=(Argument(name="who"), " says {}")),
    }
    assert fit.after == ("tell",)


def test_handles_say_how_a_task_is_done(tmp_path: Path) -> None:
    graph = written("""
        parts = split(rows).retry(3, seconds=5).timeout(60).named("parted").uncached()
        fit(parts.train).after(parts)
        """, tmp_path)  # fmt: skip
    parted, fit = graph.body
    assert isinstance(parted, Task)
    assert (parted.name, parted.timeout, parted.cached) == ("parted", 60.0, False)
    assert parted.retry == Retry(count=3, seconds=5.0)
    assert fit.after == ("parted",)


def test_a_task_comes_after_a_whole_block(tmp_path: Path) -> None:
    graph = written("""
        with for_each([1]) as one:
            complain(one)
        with when(passed()) as asked:
            complain(2)
        split(rows).after(asked)
        """, tmp_path)  # fmt: skip
    assert graph.body[-1].after == ("when-1",)


def test_options_are_what_a_step_may_use(tmp_path: Path) -> None:
    text = (
        STEPS
        + """
@step(cpus=2, memory="1.5Gi", gpus=1, retries=2, timeout=600, env={"A": "b"}, network=True, cache=False, image="i:1")
def big(rows: Dataset) -> Numbers:
    \"\"\"Do much.

    And more.
    \"\"\"

@pipeline
def all_of_it(rows: Dataset):
    \"\"\"Do it all.\"\"\"
    big(rows)
"""
    )
    text = text.replace("@step(cpus", "class Numbers(NamedTuple):\n    a: int\n    b: List[int]\n@step(cpus")
    graph = msgspec.convert(document(text, tmp_path), Graph)
    big = graph.steps["big"]
    assert isinstance(big.does, Function)
    assert big.does.image == "i:1"
    assert big.resources == Resources(cpus=2.0, memory=3 * 2**29, gpus=1)
    assert (big.env, big.network, big.cached, big.description) == ({"A": "b"}, True, False, "Do much.")
    assert big.outputs == {"a": Port(type="int"), "b": Port(type="list")}
    (task,) = graph.tasks()
    assert (task.retry.count, task.timeout) == (2, 600.0)
    assert (graph.name, graph.description) == ("all-of-it", "Do it all.")


def test_a_command_has_words_for_what_it_takes_and_gives(tmp_path: Path) -> None:
    graph = msgspec.convert(document(FETCH, tmp_path), Graph)
    does = graph.steps["fetch"].does
    assert isinstance(does, Command)
    assert does.argv == (
        "curl",
        "-o",
        OutputPath(output="data"),
        Joined(words=("--url=", Value(input="url"))),
        InputPath(input="proxy"),
    )
    assert graph.steps["fetch"].inputs["times"] == Port(type="int", optional=True, default=3)


def test_a_pipeline_called_in_another_is_written_out_there(tmp_path: Path) -> None:
    text = (
        STEPS
        + """
@pipeline
def train_one(rows: Dataset, depth: int = 3):
    return fit(split(rows).train, depth=depth)

@pipeline
def train_two(rows: Dataset):
    ship(train_one(rows))
    ship(train_one(rows, depth=9))
"""
    )
    with pytest.raises(Exception, match=r"several pipelines are in this file: `train_one`, `train_two`"):
        document(text, tmp_path)
    text = text.replace("@pipeline\ndef train_one", "def train_one").replace("depth: int = 3):", "depth=3):")
    graph = msgspec.convert(document(text, tmp_path), Graph)
    assert list(tasks(graph)) == ["split", "fit", "ship", "split-2", "fit-2", "ship-2"]


def test_several_outputs_of_a_pipeline_have_names(tmp_path: Path) -> None:
    graph = written("parts = split(rows)\nreturn {'train': parts.train, 'model': fit(parts.train)}", tmp_path)
    assert graph.outputs == {
        "train": Output(task="split", name="train"),
        "model": Output(task="fit", name="model"),
    }


def test_a_subclass_of_an_artifact_is_given_where_its_parent_is_asked_for(tmp_path: Path) -> None:
    text = (
        STEPS
        + """
class Images(Dataset): ...
@step
def draw(images: Output[Images]) -> None: ...
@pipeline
def go():
    fit(draw())
"""
    )
    graph = msgspec.convert(document(text, tmp_path), Graph)
    assert graph.steps["draw"].outputs["images"].type == "Images"
