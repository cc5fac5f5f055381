"""The pipelines of kfp/pipelines.py again, as graphs of ours."""

from __future__ import annotations

from typing import Any

from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Command,
    Compare,
    Condition,
    Constant,
    Executor,
    FirstOf,
    ForEach,
    Graph,
    Group,
    IfGiven,
    Importer,
    InputPath,
    Item,
    Joined,
    Node,
    Operator,
    Output,
    OutputPath,
    Part,
    Port,
    Resources,
    Retry,
    Source,
    Status,
    Step,
    Task,
    Text,
    Value,
    When,
    Word,
)

IMAGE = "registry.example/tools@sha256:" + "0" * 64


def step(
    name: str, *argv: str | Word, inputs: dict[str, Port] | None = None, outputs: dict[str, Port] | None = None
) -> Step:
    does = Command(
        argv=(name if name not in {"fetch", "say"} else {"fetch": "curl", "say": "echo"}[name], *argv), image=IMAGE
    )
    return Step(name=name, does=does, inputs=inputs or {}, outputs=outputs or {})


def port(kind: str, default: Any = None, *, many: bool = False) -> Port:
    return Port(type=kind, default=default, optional=default is not None, many=many)


def given(name: str) -> Value:
    return Value(input=name)


def at(name: str, *, uri: bool = False) -> InputPath:
    return InputPath(input=name, uri=uri)


def to(name: str, *, uri: bool = False) -> OutputPath:
    return OutputPath(output=name, uri=uri)


DATA, MODEL, INT, STR = port("Dataset"), port("Model"), port("int"), port("str")
PERHAPS = (
    IfGiven(input="text", then=("--text", given("text")), otherwise=("--none",)),
    IfGiven(input="data", then=("--data", at("data"))),
    Joined(words=("--all=", IfGiven(input="text", then=(given("text"),), otherwise=("none",)), "!")),
)
EVERY = {
    "whole": port("int", 3),
    "half": port("float", 0.5),
    "word": port("str", "a"),
    "sure": port("bool", True),
    "several": port("list", [1, "b"]),
    "named": port("dict", {"a": 1, "b": [True]}),
}
STEPS = {
    made.name: made
    for made in (
        step("fetch", "-o", to("data"), given("url"), inputs={"url": STR}, outputs={"data": DATA}),
        step(
            "split",
            *(at("rows"), to("train"), to("test"), given("share")),
            inputs={"rows": DATA, "share": port("float", 0.2)},
            outputs={"train": DATA, "test": DATA},
        ),
        step(
            "fit",
            *(at("train"), to("model", uri=True), Joined(words=("--depth=", given("depth")))),
            inputs={"train": DATA, "depth": port("int", 4)},
            outputs={"model": MODEL},
        ),
        step(
            "evaluate",
            *(at("model"), at("test", uri=True), to("scores"), to("accuracy")),
            inputs={"model": MODEL, "test": DATA},
            outputs={"scores": port("Metrics"), "accuracy": port("float")},
        ),
        step("count", to("number"), outputs={"number": INT}),
        step("name", to("word"), outputs={"word": STR}),
        step("listing", to("numbers"), outputs={"numbers": port("list")}),
        step("double", given("number"), to("doubled"), inputs={"number": INT}, outputs={"doubled": INT}),
        step("add", given("numbers"), to("total"), inputs={"numbers": port("list")}, outputs={"total": INT}),
        step("say", given("text"), inputs={"text": STR}),
        step("repeat", given("text"), to("said"), inputs={"text": STR}, outputs={"said": STR}),
        step("tell", given("status"), inputs={"status": Port(type="status")}),
        step("every", *(given(name) for name in EVERY), inputs=EVERY),
        step("perhaps", *PERHAPS, inputs={"text": port("str", "nothing"), "data": Port(type="Dataset", optional=True)}),
    )
}


def constant(value: Any) -> Constant:
    return Constant(value=value)


def argument(name: str) -> Argument:
    return Argument(name=name)


def of(task: str, name: str) -> Output:
    return Output(task=task, name=name)


def call(name: str, after: tuple[str, ...] = (), **inputs: Any) -> Task:
    """A task: values are constants, sources are themselves; the step is its name without the number."""
    sources = {key: value if isinstance(value, _SOURCES) else constant(value) for key, value in inputs.items()}
    return Task(name=name, step=name.rstrip("-0123456789"), inputs=sources, after=after)


_SOURCES = (Constant, Argument, Output, Item, Status, Part, FirstOf, Text)


def compare(left: Source, operator: Operator, right: Any) -> Compare:
    return Compare(left=left, operator=operator, right=right if isinstance(right, _SOURCES) else constant(right))


def when(name: str, *branches: tuple[Condition | None, tuple[Node, ...]]) -> When:
    made = (Branch(name=f"{name}-{index}", condition=test, body=body) for index, (test, body) in enumerate(branches, 1))
    return When(name=name, branches=tuple(made))


def each(name: str, items: Source, *body: Node, parallel: int = 0) -> ForEach:
    return ForEach(name=name, items=items, body=body, parallel=parallel)


def graph(name: str, *body: Node, **more: Any) -> Graph:
    return Graph(name=name, steps={**STEPS, **more.pop("steps", {})}, body=body, **more)


CHOOSE = Step(
    name="choose",
    does=Command(argv=("choose", Executor()), image=IMAGE),
    inputs={"models": port("Model", many=True)},
    outputs={"best": MODEL},
)
URL = {"url": STR}
ROWS = call("fetch", url=argument("url"))
DATA_OF = of("fetch", "data")
NUMBER = of("count", "number")


def chain() -> Graph:
    return graph(
        "chain",
        ROWS,
        call("split", rows=DATA_OF),
        call("fit", train=of("split", "train"), depth=6),
        call("evaluate", model=of("fit", "model"), test=of("split", "test")),
        parameters={"url": port("str", "https://example.org/rows.csv")},
    )


def parameters() -> Graph:
    taken = {
        "whole": INT,
        "several": port("list"),
        "half": port("float", 0.25),
        "word": port("str", "it's"),
        "sure": port("bool", False),
        "named": port("dict", {"c": 2}),
    }
    written = {"whole": -1, "half": 2.0, "word": "", "sure": False, "several": [], "named": {"x": {"y": [1.5]}}}
    tasks = (call("every", **{name: argument(name) for name in taken}), call("every-2"), call("every-3", **written))
    return graph("parameters", *tasks, parameters=taken)


def branch() -> Graph:
    return graph(
        "branch",
        when("first", (compare(argument("word"), "==", "a"), (call("say", text="one"),))),
        call("count"),
        when("second", (compare(NUMBER, ">=", 3), (call("say-2", text=argument("word")),))),
        parameters={"word": port("str", "a")},
    )


def branches() -> Graph:
    choice = when(
        "choice",
        (compare(NUMBER, "<", 3), (call("say", text="few"),)),
        (compare(NUMBER, "<", argument("target")), (call("say-2", text="some"),)),
        (None, (call("say-3", text="many"),)),
    )
    return graph("branches", call("count"), choice, parameters={"target": port("float", 0.9)})


def nested_branches() -> Graph:
    word = of("name", "word")
    innermost = when("innermost", (compare(word, "==", argument("word")), (call("say-2", text=word),)))
    inner = when(
        "inner",
        (compare(argument("word"), "==", "b"), (call("say", text="b"),)),
        (None, (call("name"), innermost)),
    )
    other = when("other", (compare(argument("sure"), "==", True), (call("double", number=NUMBER),)))
    outer = when("outer", (compare(NUMBER, "!=", 3), (inner,)), (None, (other,)))
    return graph("nested-branches", call("count"), outer, parameters={"word": STR, "sure": port("bool")})


def loop() -> Graph:
    body = (call("double", number=Item(loop="each")), call("double-2", number=NUMBER))
    return graph("loop", call("count"), each("each", constant([1, 2, 3]), *body, parallel=2))


def loop_of_dicts() -> Graph:
    item = Item(loop="each")
    items = constant([{"number": 1, "word": 2}, {"number": 3, "word": 4}])
    tasks = (
        call("double", number=Part(of=item, path=("number",))),
        call("double-2", number=Part(of=item, path=("word",))),
    )
    return graph("loop-of-dicts", each("each", items, *tasks))


def loop_over_values() -> Graph:
    inner = each(
        "inner",
        of("listing", "numbers"),
        call("double-2", number=Item(loop="inner")),
        call("double-3", number=Item(loop="outer")),
    )
    outer = each("outer", argument("given"), call("double", number=Item(loop="outer")), inner)
    return graph("loop-over-values", call("listing"), outer, parameters={"given": port("list")})


def nested_loops() -> Graph:
    inner = each(
        "inner",
        constant([1.5, 2.5]),
        call("say", text=of("repeat", "said")),
        call("say-2", text=argument("word")),
        call("double", number=NUMBER),
    )
    outer = each("outer", constant(["a", "b"]), call("repeat", text=Item(loop="outer")), inner)
    return graph("nested-loops", call("count"), outer, parameters={"word": STR})


def collected() -> Graph:
    outer = each(
        "outer",
        constant([1, 2]),
        call("double", number=Item(loop="outer")),
        call("fit", train=DATA_OF, depth=Item(loop="outer")),
        each("inner", constant([3, 4]), call("double-2", number=Item(loop="inner"))),
    )
    return graph(
        "collected",
        ROWS,
        outer,
        call("add", numbers=of("double", "doubled")),
        call("add-2", numbers=of("double-2", "doubled")),
        call("choose", models=of("fit", "model")),
        parameters=URL,
        steps={"choose": CHOOSE},
        outputs={"total": of("add", "total"), "models": of("fit", "model")},
    )


def exit_handler() -> Graph:
    told = Task(name="tell", step="tell", inputs={"status": Status(of="first")}, after=("first",), regardless=True)
    done = Task(name="say-2", step="say", inputs={"text": constant("done")}, after=("second",), regardless=True)
    return graph(
        "exit-handler",
        Group(name="first", body=(ROWS, call("split", rows=DATA_OF))),
        told,
        call("say", text=argument("url"), after=("count",)),
        Group(name="second", body=(call("say-3", text="in"),)),
        done,
        call("count"),
        parameters=URL,
    )


def retries() -> Graph:
    tasks = (
        Retry(count=3, seconds=5, factor=1.5, most=60),
        Retry(count=1),
        None,
    )
    made = (
        Task(name=name, step="fetch", inputs=ROWS.inputs, retry=retry or Retry(), cached=retry is not None)
        for name, retry in zip(("fetch", "fetch-2", "fetch-3"), tasks, strict=True)
    )
    return graph("retries", *made, parameters=URL)


def resources() -> Graph:
    def using(name: str, env: dict[str, str], limits: Resources) -> Step:
        plain = STEPS["fetch"]
        return Step(name=name, does=plain.does, inputs=plain.inputs, outputs=plain.outputs, env=env, resources=limits)

    much = Resources(cpus=2, memory=4 << 30, gpus=2)
    steps = {
        "much": using("much", {"OMP_NUM_THREADS": "2", "A": "b"}, much),
        "little": using("little", {}, Resources(cpus=0.5, memory=512 << 20)),
    }
    tasks = (
        Task(name="fetch", step="much", inputs=ROWS.inputs),
        Task(name="fetch-2", step="little", inputs=ROWS.inputs),
    )
    return graph("resources", *tasks, parameters=URL, steps=steps)


def after() -> Graph:
    return graph(
        "after",
        call("say", text="1"),
        call("say-2", text="2", after=("say",)),
        each("each", constant(["a"]), call("say-3", text=Item(loop="each"), after=("say-2",))),
        call("say-4", text="3", after=("say-3", "say")),
    )


def outputs() -> Graph:
    return graph(
        "outputs",
        ROWS,
        call("fit", train=DATA_OF),
        call("evaluate", model=of("fit", "model"), test=DATA_OF),
        parameters=URL,
        outputs={"accuracy": of("evaluate", "accuracy"), "model": of("fit", "model")},
    )


def optional() -> Graph:
    tasks = (call("perhaps"), ROWS, call("perhaps-2", text=argument("text"), data=DATA_OF))
    return graph("optional", *tasks, parameters={**URL, "text": Port(type="str", optional=True)})


def one_of() -> Graph:
    said = FirstOf(sources=(of("repeat", "said"), of("repeat-2", "said")))
    choice = when(
        "choice",
        (
            compare(of("name", "word"), "==", "deep"),
            (call("fit", train=DATA_OF, depth=9), call("repeat", text="deep")),
        ),
        (None, (call("fit-2", train=DATA_OF, depth=1), call("repeat-2", text="flat"))),
    )
    best = FirstOf(sources=(of("fit", "model"), of("fit-2", "model")))
    return graph(
        "one-of",
        ROWS,
        call("name"),
        choice,
        call("evaluate", model=best, test=DATA_OF),
        when("then", (compare(said, "==", "deep"), (call("say", text=said),))),
        parameters=URL,
        outputs={"Output": said},
    )


def imported() -> Graph:
    uri = constant("s3://bucket/model")
    does = Importer(uri=uri, metadata={"from": "2025"})
    steps = {"importer-2": Step(name="importer-2", does=does, outputs={"artifact": port("Artifact")})}
    return graph(
        "imported",
        call("split", rows=argument("rows")),
        Task(name="importer-2", step="importer-2"),
        call("evaluate", model=of("importer-2", "artifact"), test=argument("rows")),
        parameters={"rows": DATA},
        steps=steps,
    )


def texts() -> Graph:
    text = Text(pieces=(argument("number"), " of ", argument("url"), "!"))
    inner = (call("say", text=Text(pieces=("counted ", NUMBER))), call("say-2", text=of("repeat", "said")))
    choice = when("choice", (compare(NUMBER, "==", argument("number")), inner))
    tasks = (call("count"), call("repeat", text=text), choice)
    return graph("texts", *tasks, parameters={**URL, "number": port("int", 3)})


def loop_with_branches() -> Graph:
    item = Item(loop="each")
    choice = when(
        "choice",
        (compare(item, ">", NUMBER), (call("double", number=item),)),
        (compare(item, "==", 0), (call("say", text=argument("word")),)),
        (None, (call("say-2", text="less"),)),
    )
    outer = when("outer", (compare(argument("word"), "!=", ""), (each("each", argument("given"), choice),)))
    return graph("loop-with-branches", call("count"), outer, parameters={"given": port("list"), "word": STR})


TWINS = (
    after, branch, branches, chain, collected, exit_handler, imported, loop, loop_of_dicts, loop_over_values,
    loop_with_branches, nested_branches, nested_loops, one_of, optional, outputs, parameters, resources, retries, texts,
)  # fmt: skip
