"""What is written for Kubeflow does what the pipeline itself does, where both run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.test_kubeflow import Place
from contract.workbench_fixtures import OTHERS
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.layers.unpack import unpack_layer
from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Command,
    Compare,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Group,
    Item,
    Output,
    OutputPath,
    Part,
    Port,
    Status,
    Step,
    Task,
    Text,
    Value,
    When,
)
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.write import pipeline_spec, prove, to_yaml
from tiffin.pipeline.running.ledger import Planned, begun
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.running.runs import Run, RunState

DIGEST = f"@sha256:{'0' * 64}"
IMAGES = Images(pinned={OTHERS: OTHERS + DIGEST})
SUM = "total=0; for n in $(echo \"$0\" | tr '[,]' '   '); do total=$((total + n)); done; echo $total"


def shell(name: str, script: str, given: str, gives: str = "") -> Step:
    """A step of which the script's `$0` is the value `it`, and what it says is what it gives."""
    words = (script if not gives else f'{{ {script}; }} > "$1"', Value(input="it"))
    return Step(
        name=name,
        does=Command(argv=("sh", "-c", *words, *([OutputPath(output="it")] if gives else [])), image=OTHERS),
        inputs={"it": Port(type=given)},
        outputs={"it": Port(type=gives)} if gives else {},
    )


STEPS = {
    step.name: step
    for step in (
        shell("double", "echo $(($0 * 2))", "int", "int"),
        shell("add", SUM, "list", "int"),
        shell("repeat", 'printf %s "$0"', "str", "str"),
        shell("listing", 'echo "[$0, 5]"', "int", "list"),
        shell("tell", 'echo "$0" | grep -o -e SUCCEEDED -e FAILED', "status"),
    )
}


def call(name: str, it: Any, **more: Any) -> Task:
    source = it if not isinstance(it, int | str | list) else Constant(value=it)
    return Task(name=name, step=name.rstrip("-0123456789"), inputs={"it": source}, **more)


def of(task: str) -> Output:
    return Output(task=task, name="it")


def loop(name: str, items: Any, *body: Any) -> ForEach:
    return ForEach(name=name, items=items if not isinstance(items, list) else Constant(value=items), body=body)


def graph() -> Graph:
    """Lists written down, given and made; loops in loops; a choice of three, and what it gives; parts; an end."""
    more = Compare(left=of("add"), operator=">", right=Argument(name="target"))
    same = Compare(left=of("add"), operator="==", right=Argument(name="target"))
    item = Item(loop="dicts")
    choice = When(
        name="choice",
        branches=(
            Branch(name="choice-1", condition=more, body=(call("repeat", Text(pieces=("more: ", of("add")))),)),
            Branch(name="choice-2", condition=same, body=(call("repeat-2", "same"),)),
            Branch(name="choice-3", body=(call("repeat-3", "less"),)),
        ),
    )
    body = (
        loop("written", [1, 2, 3], call("double", Item(loop="written"))),
        call("add", of("double")),
        choice,
        call("repeat-4", FirstOf(sources=(of("repeat"), of("repeat-2"), of("repeat-3")))),
        call("listing", of("add")),
        loop("outer", Argument(name="given"), loop("inner", of("listing"), call("double-2", Item(loop="inner")))),
        loop(
            "dicts",
            [{"number": 4, "word": "a"}, {"number": 5, "word": "b"}],
            call("double-3", Part(of=item, path=("number",))),
            call("repeat-5", Text(pieces=("word ", Part(of=item, path=("word",))))),
        ),
    )
    told = Task(name="tell", step="tell", inputs={"it": Status(of="all")}, after=("all",), regardless=True)
    names = ("double", "add", "repeat-4", "double-3", "repeat-5")
    return Graph(
        name="written",
        parameters={"target": Port(type="int", default=11), "given": Port(type="list", default=[1, 2])},
        steps=STEPS,
        body=(Group(name="all", body=body), told),
        outputs={name: of(name) for name in names},
    )


def as_written(place: Place, found: Graph, arguments: dict[str, Any]) -> Run:
    document = pipeline_spec(found, IMAGES)
    prove(document)
    return place.run_text(to_yaml(document), arguments)


def as_it_is(place: Place, found: Graph, arguments: dict[str, Any]) -> Run:
    with begun(place.folder / "direct", Planned(graph=found), place.means.clock) as ledger:
        return run_pipeline(found, arguments, place.means, ledger)


@pytest.mark.parametrize(("target", "said"), [(11, "more: 12"), (12, "same"), (13, "less")])
def test_a_pipeline_gives_what_its_specification_gives(tmp_path: Path, target: int, said: str) -> None:
    engine = EmbeddedEngine(tmp_path / "data", unpack_layer)
    direct, written = (Place(tmp_path / name, engine, "embedded") for name in ("direct", "written"))
    mine = as_it_is(direct, graph(), {"target": target})
    theirs = as_written(written, graph(), {"target": target})
    assert mine.state is theirs.state is RunState.SUCCEEDED
    assert mine.outputs == theirs.outputs
    assert theirs.outputs["repeat-4"] == said
    assert theirs.outputs["double"] == [2, 4, 6]
    assert direct.lines["tell"] == written.lines["tell"] == ["SUCCEEDED"]
