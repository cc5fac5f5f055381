"""A pipeline with everything that pictures show: a choice, a loop, a group, tasks that were done, kept and failed."""

from __future__ import annotations

from tiffin.pipeline.graph import (
    Action,
    Argument,
    Branch,
    Compare,
    Constant,
    FirstOf,
    ForEach,
    Function,
    Graph,
    Group,
    Item,
    Output,
    Port,
    Step,
    Task,
    When,
)
from tiffin.pipeline.pictures.frames import Mark


def _step(name: str) -> Step:
    return Step(name=name, does=Function(module="pipeline", name=name), outputs={"out": Port(type="Dataset")})


def _output(task: str, name: str = "out") -> Output:
    return Output(task=task, name=name)


_SCORE = _output("evaluate", "output")
GRAPH = Graph(
    name="retrain",
    parameters={"rows": Port(type="Dataset"), "target": Port(type="float", default=0.9)},
    steps={name: _step(name) for name in ("split", "fit", "evaluate", "tell")}
    | {"ship": Step(name="ship", does=Action(name="deploy"))},
    body=(
        Task(name="split", step="split", inputs={"rows": Argument(name="rows")}),
        ForEach(
            name="depths",
            items=Constant(value=[2, 4, 8]),
            body=(Task(name="fit", step="fit", inputs={"train": _output("split"), "depth": Item(loop="depths")}),),
        ),
        Task(name="evaluate", step="evaluate", inputs={"models": _output("fit"), "test": _output("split", "test")}),
        When(
            name="good-enough",
            branches=(
                Branch(
                    name="good",
                    condition=Compare(left=_SCORE, operator=">", right=Argument(name="target")),
                    body=(
                        Task(name="build", step="ship", inputs={"model": _output("evaluate")}),
                        Task(name="deploy", step="ship", after=("build",)),
                    ),
                ),
                Branch(name="bad", body=(Task(name="complain", step="tell", inputs={"score": _SCORE}),)),
            ),
        ),
        Group(name="end", after=("good-enough",), body=(Task(name="tell", step="tell"),)),
        Task(name="report", step="tell", inputs={"of": FirstOf(sources=(_output("deploy"), _output("complain")))}),
    ),
)
MARKS = {
    "split": (Mark(state="kept"),),
    "fit": (
        Mark(state="done", seconds=1.25),
        Mark(state="done", seconds=2.0),
        Mark(state="kept"),
    ),
    "evaluate": (Mark(state="done", seconds=0.31),),
    "build": (Mark(state="failed", seconds=64.0, why="the disk is <full>"),),
    "deploy": (Mark(state="skipped", why="build failed"),),
    "complain": (Mark(state="skipped", why="evaluate.output > target"),),
}
