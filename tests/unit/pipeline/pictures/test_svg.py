"""A pipeline, as SVG: every task is there, and what it is called is text and nothing else."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tiffin.pipeline.graph import Function, Graph, Output, Port, Step, Task
from tiffin.pipeline.pictures.frames import framed
from tiffin.pipeline.pictures.svg import svg
from unit.pipeline.pictures.example import GRAPH, MARKS

SPACE = "{http://www.w3.org/2000/svg}"


def test_every_task_is_there_with_its_name() -> None:
    root = ET.fromstring(svg(framed(GRAPH, MARKS)))  # noqa: S314 - our own text
    texts = {text.text for text in root.iter(f"{SPACE}text")}
    assert {task.name for task in GRAPH.tasks()} <= texts


def test_names_are_text_and_never_markup() -> None:
    name = '<script>alert("x")</script>&'
    graph = Graph(
        name=name,
        steps={"a": Step(name="a", does=Function(module="m", name="a"), outputs={"o": Port(type="int")})},
        body=(Task(name=name, step="a"), Task(name="b", step="a", inputs={"i": Output(task=name, name="o")})),
    )
    root = ET.fromstring(svg(framed(graph)))  # noqa: S314 - our own text
    assert not list(root.iter(f"{SPACE}script"))
    assert name in {text.text for text in root.iter(f"{SPACE}text")}


def test_a_thousand_steps_are_drawn() -> None:
    step = Step(name="a", does=Function(module="m", name="a"), outputs={"o": Port(type="int")})
    tasks = tuple(
        Task(name=f"t{n}", step="a", inputs={"i": Output(task=f"t{(n - 1) // 2}", name="o")} if n else {})
        for n in range(1000)
    )
    drawn = svg(framed(Graph(name="wide", steps={"a": step}, body=tasks)))
    assert drawn.count('class="way"') == 999
