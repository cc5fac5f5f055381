from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import (
    Action,
    Command,
    FirstOf,
    Function,
    Graph,
    Group,
    Importer,
    InputPath,
    Item,
    Node,
    OutputPath,
    Part,
    Place,
    Port,
    Status,
    Step,
    Task,
    Text,
)
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.refuse import notes, refuse
from unit.pipeline.kubeflow import twins
from unit.pipeline.kubeflow.twins import (
    IMAGE,
    STEPS,
    argument,
    call,
    compare,
    constant,
    each,
    graph,
    of,
    port,
    step,
    when,
)

PROJECT = Images(project=IMAGE)
PLACE = Place(file="pipeline.py", line=7)


def made(does: Any, **more: Any) -> Graph:
    """A pipeline of one step that does this."""
    one = Step(name="one", does=does, place=PLACE, **more)
    return graph("made", Task(name="one", step="one", place=PLACE), steps={"one": one})


def command(*argv: Any, image: str = IMAGE, **more: Any) -> Graph:
    return made(Command(argv=argv, image=image), **more)


def ending(name: str, *after: str, text: Any = "") -> Task:
    return Task(name=name, step="say", inputs={"text": constant(text)}, after=after, regardless=True)


ROW = {"row": Port(type="Dataset", many=True)}
GIVES_LIST = {**STEPS, "many": Step(name="many", does=Command(argv=("x",), image=IMAGE), outputs=ROW)}
CHOICE = when("choice", (compare(twins.NUMBER, "==", 1), (call("name"),)), (None, (call("name-2"),)))
HALF = when("choice", (compare(twins.NUMBER, "==", 1), (call("name"),)))
WORDS = FirstOf(sources=(of("name", "word"), of("name-2", "word")))


def with_choice(*nodes: Node, choice: Node = CHOICE) -> Graph:
    return graph("choosing", call("count"), choice, *nodes)


REFUSED = {
    "what tiffin itself does": (made(Action(name="deploy")), "there is no tiffin in the cluster"),
    "an image by its tag": (command("x", image="registry.example/a:1"), "names its image by a tag"),
    "Python in an image of its own": (
        made(Function(module="pipeline", name="one", image=IMAGE)),
        "Python in an image of its own",
    ),
    "a program that is not written": (command(InputPath(input="a"), inputs={"a": port("Dataset")}), "must be written"),
    "a word that looks like a placeholder": (command("x", "{{$.inputs}}"), "for a placeholder"),
    "a word that looks like a structure": (command("x", '{"IfPresent": 1}'), "for a placeholder"),
    "a path of a list": (command("x", InputPath(input="row"), inputs=ROW), "no paths of a list"),
    "the address of a value": (
        command("x", OutputPath(output="v", uri=True), outputs={"v": port("int")}),
        "a value has no address",
    ),
    "a list of files as an output": (command("x", outputs=ROW), "gives a list of files"),
    "an address that is not fetched": (
        made(Importer(uri=constant("https://a/b")), outputs={"artifact": port("Dataset")}),
        "fetches no files from https://a/b",
    ),
    "a name that Kubernetes has not": (
        graph("a", Task(name="Fit_deep", step="count")),
        "Kubernetes has no name like 'Fit_deep'",
    ),
    "a name that it gives itself": (
        graph("a", Task(name="for-loop-2", step="count"), each("e", constant([1]), call("count"))),
        "calls a branch or loop",
    ),
    "a pipeline without a name": (graph("__", call("count")), "no pipeline of the name"),
    "an empty branch": (with_choice(choice=when("w", (compare(twins.NUMBER, "==", 1), ()))), "a part without tasks"),
    "nothing but what runs regardless": (graph("a", Group(name="g", body=(ending("say"),))), "a part without tasks"),
    "a list of files to run with": (
        graph("a", call("count"), parameters={"rows": Port(type="Dataset", many=True)}),
        "a list of files cannot be given",
    ),
    "a file that may be left out": (
        graph("a", call("count"), parameters={"rows": Port(type="Dataset", optional=True)}),
        "an importer must have an address",
    ),
    "a file by an address that is not fetched": (
        graph("a", call("count"), parameters={"rows": port("Dataset", "https://a/b")}),
        "fetches no files from https://a/b",
    ),
    "a loop over files": (
        graph("a", Task(name="many", step="many"), each("e", of("many", "row"), call("count")), steps=GIVES_LIST),
        "no loops over lists of files",
    ),
    "items of several types": (graph("a", each("e", constant([1, "b"]), call("count"))), "of several types: int, str"),
    "items that readers take for several types": (
        graph(
            "a",
            each("e", argument("l"), call("say", text=Item(loop="e")), call("double", number=Item(loop="e"))),
            parameters={"l": port("list")},
        ),
        "of several types: int, str",
    ),
    "a condition of two types": (
        with_choice(choice=when("w", (compare(twins.NUMBER, "==", "1"), (call("name"),)))),
        "CEL does not compare int with str",
    ),
    "a condition on a list": (
        graph("a", call("listing"), when("w", (compare(of("listing", "numbers"), "==", [1]), (call("name"),)))),
        "does not compare list with list",
    ),
    "a condition on files": (
        graph("a", call("fetch", url="u"), when("w", (compare(twins.DATA_OF, "==", "a"), (call("name"),)))),
        "does not compare Dataset with str",
    ),
    "a condition that is known": (
        graph("a", when("w", (compare(constant(1), "==", 1), (call("name"),)))),
        "compares what is known",
    ),
    "a condition on a text of pieces": (
        with_choice(choice=when("w", (compare(Text(pieces=("a", twins.NUMBER)), "==", "a1"), (call("name"),)))),
        "compares what tasks give",
    ),
    "a condition on parts of unknown types": (
        graph(
            "a",
            when(
                "w",
                (
                    compare(Part(of=argument("d"), path=("a",)), "==", Part(of=argument("d"), path=("b",))),
                    (call("name"),),
                ),
            ),
            parameters={"d": port("dict")},
        ),
        "nothing says of what types",
    ),
    "what a branch gives, outside of it": (
        with_choice(call("say", text=of("name", "word"))),
        "its branch is not taken",
    ),
    "the first of some branches": (
        with_choice(call("say", text=FirstOf(sources=(of("name", "word"),)))),
        "not branches of",
    ),
    "the first of a choice without otherwise": (
        with_choice(
            call("say", text=WORDS),
            choice=when(
                "choice",
                (compare(twins.NUMBER, "==", 1), (call("name"),)),
                (compare(twins.NUMBER, "==", 2), (call("name-2"),)),
            ),
        ),
        "might all be left out",
    ),
    "the first of no branches": (
        graph("a", call("name"), call("name-2"), call("say", text=WORDS)),
        "not branches of one choice",
    ),
    "the first of values": (with_choice(call("say", text=FirstOf(sources=(constant("a"),)))), "no tasks' outputs"),
    "coming after a step in a branch": (
        with_choice(call("say", text="", after=("name",)), choice=HALF),
        "comes after name",
    ),
    "coming after what runs regardless": (
        graph("a", Group(name="g", body=(call("count"),)), ending("say", "g"), call("say-2", text="", after=("say",))),
        "as the last thing of all",
    ),
    "running regardless of two": (
        graph("a", call("count"), call("name"), ending("say", "count", "name")),
        "one task or group",
    ),
    "running regardless of a step within a loop": (
        graph("a", each("e", constant([1]), call("count")), ending("say", "count")),
        "one task or group of the same body",
    ),
    "reading, regardless, what may not be there": (
        graph(
            "a",
            Group(name="g", body=(call("name"),)),
            Task(name="say", step="say", inputs={"text": of("name", "word")}, after=("g",), regardless=True),
        ),
        "reads what name gives",
    ),
    "reading, regardless, what must be imported": (
        graph(
            "a",
            call("count"),
            Task(name="split", step="split", inputs={"rows": argument("rows")}, after=("count",), regardless=True),
            parameters={"rows": port("Dataset")},
        ),
        "reads rows, which is imported",
    ),
    "running regardless of a loop": (
        graph("a", each("e", constant([1]), call("count")), ending("say", "e")),
        "regardless of a loop",
    ),
    "two that run regardless of one": (
        graph("a", Group(name="g", body=(call("count"),)), ending("say", "g"), ending("say-2", "g")),
        "and say is that",
    ),
    "an end that nobody waits for": (
        graph("a", call("count"), Task(name="tell", step="tell", inputs={"status": Status(of="count")})),
        "only what runs however count ends",
    ),
    "a constant that looks like a placeholder": (graph("a", call("say", text="{{$}}")), "takes for a placeholder"),
    "a missing value within a loop": (
        graph(
            "a",
            each("e", constant([1]), call("say", text=argument("t"))),
            parameters={"t": Port(type="str", optional=True)},
        ),
        "hands no missing value",
    ),
    "a part of what rounds give": (
        graph(
            "a",
            each("e", constant([1]), call("listing")),
            call("double", number=Part(of=of("listing", "numbers"), path=(0,))),
        ),
        "a part of what several rounds give",
    ),
    "an argument as an output": (
        graph("a", call("count"), parameters={"t": port("str")}, outputs={"t": argument("t")}),
        "no task's output",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_kubeflow_cannot_do_is_refused(what: str) -> None:
    found, words = REFUSED[what]
    with pytest.raises(UnsupportedError) as caught:
        refuse(found, PROJECT)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_refusal_names_file_and_line() -> None:
    with pytest.raises(UnsupportedError, match=r"^pipeline.py:7: one is what tiffin does itself"):
        refuse(made(Action(name="build")), PROJECT)


def test_all_problems_are_named_at_once() -> None:
    both = msgspec.structs.replace(made(Action(name="build")), name="__")
    with pytest.raises(UnsupportedError) as caught:
        refuse(both, PROJECT)
    assert len(caught.value.message.splitlines()) == 2


def test_a_project_without_a_registry_is_told_to_push() -> None:
    with pytest.raises(UnsupportedError) as caught:
        refuse(made(Function(module="pipeline", name="one")), Images())
    assert "--push REGISTRY/NAME" in (caught.value.hint or "")


def test_an_image_that_is_pinned_is_taken_by_its_digest() -> None:
    pinned = Images(project=IMAGE, pinned={"registry.example/a:1": IMAGE})
    refuse(command("x", image="registry.example/a:1"), pinned)
    assert pinned.of(step("x")) == IMAGE


@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.__name__)
def test_what_kfp_compiles_is_not_refused(twin: Any) -> None:
    refuse(twin(), PROJECT)


def test_what_is_otherwise_on_a_cluster_is_said() -> None:
    said = notes(
        graph("a", Task(name="count", step="count", timeout=5), parameters={"rows": port("Dataset", "data/rows.csv")})
    )
    assert [next(word for word in ("network", "data/rows.csv", "timeout") if word in line) for line in said] == [
        "network",
        "data/rows.csv",
        "timeout",
    ]
