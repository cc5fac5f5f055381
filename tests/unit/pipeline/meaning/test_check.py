"""Graphs that cannot be run are refused, whoever wrote them, with file and line and what to do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Command,
    Graph,
    IfGiven,
    InputPath,
    Joined,
    Node,
    OutputPath,
    Part,
    Place,
    Port,
    Step,
    Text,
    Value,
    When,
)
from tiffin.pipeline.meaning.check import check, check_arguments
from unit.pipeline.graphs import (
    but,
    constant,
    first_of,
    for_each,
    graph,
    group,
    is_,
    item,
    output,
    status,
    step,
    task,
    when,
)

NUMBER, NUMBERS, WORD = Port(type="float"), Port(type="list"), Port(type="str")
DATA, MODEL, MODELS, ANY = (
    Port(type="Dataset"),
    Port(type="Model"),
    Port(type="Model", many=True),
    Port(type="Artifact"),
)
STEPS = [
    step("make", outputs={"data": DATA, "count": Port(type="int"), "rate": NUMBER, "list": NUMBERS}),
    step("fit", inputs={"data": DATA, "rate": NUMBER}, outputs={"model": MODEL}),
    step("read", inputs={"any": ANY, "model": MODEL, "models": MODELS, "word": WORD, "count": Port(type="int")}),
    step("maybe", inputs={"model": Port(type="Model", optional=True)}),
]
MAKE = task("make")
HOLDS = is_(output("make", "rate"), ">", 1)


def fit(name: str = "fit", **more: Any) -> Node:
    return but(task(name, "fit", data=output("make", "data"), rate=output("make", "rate")), **more)


def optional(name: str, **inputs: Any) -> Graph:
    """A pipeline in which one input of a step is given, and no other asked for."""
    reader = step("read", inputs={key: STEPS[2].inputs[key] for key in inputs})
    return graph(MAKE, fit(), task(name, "read", **inputs), steps=[STEPS[0], STEPS[1], reader])


def refusal(made: Graph) -> str:
    with pytest.raises(ConfigError) as raised:
        check(made)
    assert raised.value.hint
    return raised.value.message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"any": output("make", "data")}, ""),
        ({"any": output("fit", "model")}, ""),
        ({"model": output("fit", "model")}, ""),
        ({"count": output("make", "count")}, ""),
        ({"word": constant("x")}, ""),
        ({"word": Text(pieces=("x", output("make", "count")))}, ""),
        ({"word": Part(of=output("make", "list"), path=(0,))}, ""),
        ({"model": output("make", "data")}, "model of here should be Model, and is given Dataset"),
        ({"models": output("fit", "model")}, "models of here should be list[Model], and is given Model"),
        ({"model": output("make", "count")}, "model of here should be Model, and is given int"),
        ({"count": output("make", "rate")}, "count of here should be int, and is given float"),
        ({"word": output("make", "count")}, "word of here should be str, and is given int"),
        ({"count": constant("x")}, "count of here is a str, 'x', and should be an int"),
        ({"model": constant("x")}, "model of here should be Model, and is given the value 'x'"),
        ({"model": first_of(output("fit", "model"), output("fit", "model"))}, ""),
        (
            {"word": first_of(output("make", "count"), output("make", "count"))},
            "word of here should be str, and is given int",
        ),
    ],
)
def test_what_is_given_is_what_is_taken(inputs: dict[str, Any], message: str) -> None:
    made = optional("here", **inputs)
    if message:
        assert refusal(made) == message
    else:
        check(made)


def test_an_int_fits_where_a_float_is_taken() -> None:
    check(graph(MAKE, task("fit", data=output("make", "data"), rate=output("make", "count")), steps=STEPS[:2]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ((MAKE, fit("make")), "two things are called 'make'; the other is at no line"),
        ((MAKE, group("make", fit())), "two things are called 'make'"),
        ((MAKE, when("w", HOLDS, fit("w-1"))), "two things are called 'w-1'"),
        ((task("a", "nothing"),), ""),
        ((MAKE, task("fit", data=output("make", "data"))), "fit is not given rate, float"),
        ((MAKE, task("make-2", "make", x=constant(1))), "make-2 has no input 'x'"),
        ((fit(),), "data of fit comes from 'make', which is not there"),
        ((MAKE, task("fit", data=output("make", "dat"), rate=constant(1))), "data of fit is the output 'dat' of make"),
        ((MAKE, task("fit", data=Argument(name="rows"), rate=constant(1))), "the pipeline's parameter 'rows'"),
        ((MAKE, task("fit", data=item("loop"), rate=constant(1))), "is the item of 'loop', and does not stand in"),
        ((MAKE, task("fit", data=status("no"), rate=constant(1))), "data of fit is the status of 'no'"),
        ((group("g", MAKE), task("fit", data=output("g", "data"), rate=constant(1))), "comes from g, which is no task"),
        ((MAKE, fit(after=("no",))), "fit comes after 'no', which is not there"),
        ((MAKE, for_each("l", output("make", "data"), fit())), "loop l goes through Dataset"),
        ((MAKE, for_each("l", output("make", "count"), fit())), "loop l goes through int"),
        (
            (MAKE, when("w", is_(output("make", "data"), "==", 1), fit())),
            "the condition of w-1 compares Dataset, a file or folder",
        ),
        (
            (MAKE, When(name="w", branches=(Branch(name="a", body=(fit(),)), Branch(name="b", condition=HOLDS)))),
            "of the branches of w one has no condition, and is not the last",
        ),
        ((group("g"),), "pipeline retrain has no tasks"),
        ((), "pipeline retrain has no tasks"),
    ],
)
def test_what_is_not_there_is_refused(body: tuple[Node, ...], message: str) -> None:
    made = graph(*body, steps=STEPS)
    if not message:
        made = msgspec.structs.replace(made, steps={})
        message = "task a calls the step 'nothing', which is not there"
    assert message in refusal(made)


def reading(*body: Node, port: Port = MODEL) -> Graph:
    reader = step("read", inputs={"model": port})
    return graph(MAKE, *body, steps=[*STEPS[:2], reader, STEPS[3]])


def test_an_output_of_a_branch_is_read_as_the_first_that_is_there() -> None:
    branches = when("w", HOLDS, fit(), otherwise=(fit("fit-2"),))
    check(reading(branches, task("read", model=first_of(output("fit", "model"), output("fit-2", "model")))))
    message = refusal(reading(branches, task("read", model=output("fit", "model"))))
    assert message == "model of read comes from fit, in the branch w-1, which may not be taken"
    check(reading(branches, task("maybe", model=output("fit", "model"))))


def test_an_output_of_a_branch_is_read_in_it() -> None:
    check(reading(when("w", HOLDS, fit(), group("g", task("read", model=output("fit", "model"))))))


def test_what_is_in_another_branch_is_never_there() -> None:
    source = first_of(output("fit", "model"))
    message = refusal(reading(when("w", HOLDS, fit(), otherwise=(task("read", model=source),))))
    assert message == "model of read comes from fit, in another branch: where one is done, the other is not"
    after = but(task("make-2", "make"), after=("make-3",))
    message = refusal(reading(when("w", HOLDS, task("make-3", "make"), otherwise=(after,))))
    assert message == "make-2 comes after make-3, in another branch: where one is done, the other is not"


def test_an_output_of_a_loop_is_a_list_outside_of_it() -> None:
    loop = for_each("l", constant([1, 2]), fit())
    check(reading(loop, task("read", model=output("fit", "model")), port=MODELS))
    message = refusal(reading(loop, task("read", model=output("fit", "model"))))
    assert message == "model of read should be Model, and is given list[Model]"
    check(reading(for_each("l", constant([1]), fit(), task("read", model=output("fit", "model")))))


def test_a_branch_within_a_loop_gives_what_its_rounds_gave() -> None:
    loop = for_each("l", constant([1, 2]), when("w", HOLDS, fit()))
    check(reading(loop, task("read", model=output("fit", "model")), port=MODELS))
    branch = when("w", HOLDS, for_each("l", constant([1]), fit()))
    message = refusal(reading(branch, task("read", model=output("fit", "model")), port=MODELS))
    assert "in the branch w-1, which may not be taken" in message


def test_the_item_of_a_loop_over_artifacts_is_one_of_them() -> None:
    loop = for_each("l", constant([1]), fit())
    inner = for_each("m", output("fit", "model"), task("read", model=item("m")))
    check(reading(loop, inner))


def test_a_pipeline_may_give_what_a_branch_may_give() -> None:
    made = graph(MAKE, when("w", HOLDS, fit()), steps=STEPS, outputs={"model": output("fit", "model")})
    check(made)
    assert "output model of the pipeline comes from 'fit'" in refusal(msgspec.structs.replace(made, body=(MAKE,)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ((but(MAKE, after=("make",)),), "make waits for itself"),
        ((but(MAKE, after=("fit",)), fit()), "these wait for each other: make -> fit -> make"),
        ((group("g", but(MAKE, after=("g",))),), "these wait for each other: "),
        (
            (group("g", but(MAKE, after=("last",))), but(task("last", "make"), after=("g",))),
            "these wait for each other: ",
        ),
        ((when("w", is_(first_of(output("make", "rate")), ">", 1), MAKE),), "these wait for each other: "),
        ((for_each("l", output("make", "list"), MAKE),), "these wait for each other: "),
        ((but(MAKE, after=("l",)), for_each("l", output("make", "list"), fit())), "these wait for each other: "),
    ],
)
def test_tasks_that_wait_for_each_other_are_refused(body: tuple[Node, ...], message: str) -> None:
    assert message in refusal(graph(*body, steps=STEPS))


def test_a_thousand_tasks_in_a_row_are_no_cycle() -> None:
    row = [but(task(f"make-{number}", "make"), after=(f"make-{number - 1}",)) for number in range(1, 1000)]
    check(graph(task("make-0", "make"), *row, steps=STEPS))
    check(graph(*reversed(row), task("make-0", "make"), steps=STEPS))


def test_the_line_comes_first() -> None:
    made = graph(but(fit(), place=Place(file="pipeline.py", line=7)), steps=STEPS)
    assert refusal(made) == "pipeline.py:7: data of fit comes from 'make', which is not there"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (Value(input="x"), "the command of run has no input 'x'"),
        (Joined(words=("a", InputPath(input="x"))), "the command of run has no input 'x'"),
        (IfGiven(input="word", then=(OutputPath(output="x"),)), "the command of run has no output 'x'"),
        (IfGiven(input="x", then=()), "the command of run has no input 'x'"),
        (Value(input="data"), "the command of run asks for the value of data, Dataset"),
        (InputPath(input="data"), ""),
    ],
)
def test_a_command_speaks_of_what_its_step_has(word: Any, message: str) -> None:
    run = Step(name="run", does=Command(argv=("true", word)), inputs={"word": WORD, "data": DATA})
    made = graph(MAKE, task("run", word=constant("x"), data=output("make", "data")), steps=[STEPS[0], run])
    if message:
        assert refusal(made) == message
    else:
        check(made)


PARAMETERS = {
    "rows": Port(type="Dataset", optional=True, default="data/rows.csv"),
    "depth": Port(type="int"),
    "rates": Port(type="list", optional=True),
    "name": Port(type="str", optional=True, default="iris"),
    "parts": Port(type="Dataset", many=True, optional=True),
}


def test_arguments_are_typed_as_their_parameters() -> None:
    made = graph(MAKE, steps=STEPS, **PARAMETERS)
    assert check_arguments(made, {"depth": "5"}) == {"rows": "data/rows.csv", "depth": 5, "name": "iris"}
    given = {"depth": 5, "rates": "[0.1, 2]", "name": "5", "parts": '["a", "b"]', "rows": "x.csv"}
    assert check_arguments(made, given) == {**given, "rates": [0.1, 2], "parts": ["a", "b"]}
    assert check_arguments(made, {"depth": 1, "parts": "a"})["parts"] == ["a"]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"depht": "5"}, "pipeline retrain has no parameter 'depht'", "did you mean 'depth'?"),
        ({"depth": "5", "x": 1}, "pipeline retrain has no parameter 'x'", "there are: rows, depth, rates, name, parts"),
        ({}, "pipeline retrain needs a value for depth, int", "`-p depth=…`"),
        ({"depth": "five"}, "retrain's depth is 'five', and should be an int", "an int such as 3"),
        ({"depth": 1, "rates": "x"}, "retrain's rates is 'x', and should be a list", "a JSON list"),
        ({"depth": 1, "rows": ["a", "b"]}, "retrain's rows is ['a', 'b'], and should be Dataset", "the path"),
        ({"depth": 1, "rows": ""}, "retrain's rows is '', and should be Dataset", "the path"),
        ({"depth": 1, "parts": [1]}, "retrain's parts is [1], and should be list[Dataset]", "the path"),
    ],
)
def test_arguments_that_cannot_be_are_refused(given: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_arguments(graph(MAKE, steps=STEPS, **PARAMETERS), given)
    assert raised.value.message == message
    assert hint in (raised.value.hint or "")
