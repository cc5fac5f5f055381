"""What of a pipeline cannot be in a pod is refused by file and line, and what is otherwise there is told."""

from __future__ import annotations

import pytest

from tiffin.api.pipelines.abroad import elsewhere, refuse_abroad, services_of
from tiffin.api.services.targets import Place
from tiffin.config.deploy import EnvironmentSection
from tiffin.config.project import Project
from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Action, Argument, Command, Constant, Doing, Graph, Port, Source, Step, Task
from tiffin.pipeline.graph import Place as Line

HERE = Place(target="kubernetes", context="prod", namespace="models")
PROJECT = Project(
    name="iris",
    environment={
        "laptop": EnvironmentSection(target="local"),
        "production": EnvironmentSection(target="kubernetes", kube_context="prod", namespace="models"),
        "staging": EnvironmentSection(target="kubernetes", kube_context="prod", namespace="staging"),
        "other": EnvironmentSection(target="kubernetes", kube_context="other"),
    },
)


def graph(does: Doing, **inputs: Source) -> Graph:
    ports = {"to": Port(type="str", optional=True, default="local")}
    step = Step(name="ship", does=does, inputs=ports)
    task = Task(name="ship", step="ship", inputs=inputs, place=Line(file="pipeline.py", line=7))
    return Graph(name="retrain", steps={"ship": step}, body=(task,))


def deploys(to: str = "") -> Graph:
    return graph(Action(name="deploy"), **({"to": Constant(value=to)} if to else {}))


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (deploys(), "services of this machine, which on a cluster is a pod that ends"),
        (deploys("local"), "services of this machine"),
        (deploys("laptop"), "services of this machine"),
        (graph(Action(name="champion")), "services of this machine"),
        (deploys("other"), "is about the cluster of other"),
    ],
)
def test_what_no_pod_can_do_is_refused_with_its_line(refused: Graph, words: str) -> None:
    with pytest.raises(UnsupportedError, match=f"pipeline.py:7: .*{words}") as caught:
        refuse_abroad(refused, PROJECT, HERE)
    assert caught.value.hint


@pytest.mark.parametrize(
    "taken",
    [
        deploys("kubernetes"),
        deploys("production"),
        deploys("staging"),
        graph(Action(name="deploy"), to=Argument(name="to")),
        graph(Action(name="champion"), image=Constant(value="registry.example/iris:1")),
        graph(Action(name="build")),
        graph(Command(argv=("train",))),
    ],
)
def test_what_a_pod_can_do_is_taken(taken: Graph) -> None:
    refuse_abroad(taken, PROJECT, HERE)


def test_another_namespace_is_told_of_since_the_pipeline_has_no_rights_there() -> None:
    assert [*elsewhere(deploys("production"), PROJECT, HERE)] == []
    [line] = elsewhere(deploys("staging"), PROJECT, HERE)
    assert line.startswith("pipeline.py:7: ship is about the namespace staging")


@pytest.mark.parametrize(
    ("made", "services"),
    [
        (deploys("kubernetes"), "keep"),
        (graph(Action(name="champion"), to=Constant(value="kubernetes")), "read"),
        (graph(Action(name="champion"), image=Constant(value="registry.example/iris:1")), "none"),
        (graph(Action(name="push")), "none"),
        (graph(Command(argv=("train",))), "none"),
    ],
)
def test_a_pipeline_is_given_the_rights_that_its_actions_need(made: Graph, services: str) -> None:
    assert services_of(made) == services
