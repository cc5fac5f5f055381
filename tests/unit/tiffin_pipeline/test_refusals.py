"""What cannot be a pipeline is refused with the line that is wrong, and with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiffin_pipeline import Dataset, PipelineError, Step, command, when
from unit.tiffin_pipeline.writing import STEPS, indented, refused

HEAD = "rows: Dataset, depth: int = 4"
PARTS = "parts = split(rows)\nfitted = fit(parts.train)\nscores = score(fitted.model, parts.test)\n"


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("split(rows, shares=0.1)", "step `split` has no input `shares`", "did you mean `share`?"),
        ("split()", "step `split` is not given `rows`", "add `rows=…`"),
        ("split(rows, rows=rows)", "step `split` is given `rows` twice", "once"),
        ("split(rows, 0.2, 3)", "step `split` takes 2 inputs, and is given 3", "`rows`, `share`"),
        ("split(rows, train=rows)", "step `split` gives `train`, and is given it", "called.train"),
        (
            "split(fit(rows).model)",
            "`rows` is a Dataset, and is given output `model` of step `fit`, which is a Model",
            "",
        ),
        ("split(depth)", "`rows` is a Dataset, and is given argument `depth`, which is an int", ""),
        ("fit(rows, depth='4')", "step `fit`: `depth`: '4' is not an int", "a whole number"),
        ("fit(rows, depth=True)", "step `fit`: `depth`: True is not an int", "a whole number"),
        ("fit(rows, depth=4.5)", "step `fit`: `depth`: 4.5 is not an int", "a whole number"),
        ("split(rows, share=float('nan'))", "nan is not finite", ""),
        ("split('data/rows.csv')", "step `split`: `rows` is a Dataset, and is given 'data/rows.csv'", "argument"),
        ("complain(f'{depth}')", "step `complain`: `score` is a float, and is given a text", "itself"),
        ("fit(rows).modle", "step `fit` has no output `modle`", "did you mean `model`?"),
        ("ship(fit(rows).model).output", "step `ship` has no output `output`", "return"),
        ("fit(split(rows))", "step `split` does not have one output; its outputs are: `train`, `test`", "`call.train`"),
        ("choose(fit(rows))", "`models` is a list[Model], and is given output `model`", "collect"),
        ("if passed(): ship(fit(rows))", "output `output` of step `passed` is not known", "with when"),
        ("if score(fit(rows), rows).output > 1 and True: pass", "a condition is neither true nor false", "`(a) & (b)`"),
        ("for one in listed(): pass", "output `output` of step `listed` cannot be gone through", "for_each"),
        ("len(listed())", "has no length before the pipeline runs", "count"),
        ("1 in listed()", "`in` cannot look into output `output` of step `listed`", "bool"),
        ("print(f'{passed():.2f}')", "cannot be formatted by `:.2f`", "leave"),
        ("str(rows)", "argument `rows` is a Dataset, and its path is not known", "pass it to a step"),
        ("rows['x']", "argument `rows` is a Dataset, and has no parts", ""),
        ("with when(True): split(rows)", "True is no condition: it is known before", "ordinary `if`"),
        ("with when(depth): split(rows)", "argument `depth` is an int, which is no condition", "compare it"),
        (
            "with when(depth == '4'): split(rows)",
            "argument `depth` is an int, and is compared with '4', a str",
            "numbers",
        ),
        ("with when(rows == 1): split(rows)", "argument `rows` is a Dataset, and files are not compared", "step"),
        ("with when(listed() > [1]): split(rows)", "cannot be compared by `>`", ""),
        ("with when(depth > 1): pass", "nothing is done within `when`", "take it out"),
        ("with for_each([]) as x: split(rows)", "`for_each` goes through an empty list", ""),
        (
            "with for_each(depth) as x: split(rows)",
            "`for_each` goes through argument `depth`, which is an int",
            "a list",
        ),
        ("with for_each('abc') as x: split(rows)", "`for_each`: 'abc' is not a list", "`[1, 2]`"),
        ("with for_each([1], parallel=-1) as x: split(rows)", "`parallel` cannot be -1", "`parallel=2`"),
        ("split(rows)\nwith otherwise(): split(rows)", "`otherwise` does not follow a `when`", "right below"),
        ("with on_exit(split(rows)): fit(rows)", "`on_exit` cannot take", "the step itself"),
        ("with on_exit(split): fit(rows)", "step `split` is not given `rows`", "add `rows=…`"),
        ("tell('x')", "step `tell` is told by `how` how something ended, and stands by itself", "on_exit"),
        ("split(rows).retry(-1)", "the count of a retry cannot be -1", "`.retry(3)`"),
        ("split(rows).timeout(0)", "a timeout cannot be 0", "`.timeout(60)`"),
        ("split(rows).named('Fit It')", "a task cannot be called 'Fit It'", "fit-deep"),
        ("split(rows).named('a')\nsplit(rows).named('a')", "two tasks are called `a`", ""),
        ("split(rows).after('fit')", "`.after` cannot take 'fit'", ""),
        ("pass", "pipeline `retrain` does nothing", "call a step"),
        ("split(rows)\nreturn 3", "pipeline `retrain` returns 3", "return an output"),
        ("split(rows)\nretrain(rows)", "pipeline `retrain` calls itself", "for_each"),
        (
            "with when(depth > 1): split(rows)\nwith otherwise(passed()): split(rows)",
            "does not follow a `when`",
            "above of both",
        ),
        ("with for_each([f'{depth}']) as x: split(rows)", "a value that is not known yet lies within a list", "step"),
        ("with for_each([depth]) as x: split(rows)", "is not made of numbers, texts, lists and dicts", "`[1, 2]`"),
        ("with when(passed() == f'{depth}'): split(rows)", "a text with values in it is not compared", "step"),
        ("with for_each([f'{rows}']) as x: split(rows)", "is a Dataset, and its path is not known", "its path there"),
        ("collect(split(rows).train)", "there is no list of output `train`", "for_each"),
    ],
)
def test_a_mistake_is_said_with_its_line_and_what_to_write(body: str, message: str, hint: str, tmp_path: Path) -> None:
    error = refused(STEPS + f"@pipeline\ndef retrain({HEAD}):\n" + indented(body), tmp_path)
    assert message in error.message
    assert hint in error.hint
    assert Path(error.place.file).name == "pipeline.py"
    assert error.place.line > STEPS.count("\n")


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (
            "with when(scores.output > 1):\n    deep = fit(parts.train)\nship(deep)",
            "from within the branch",
            "`first(a, b)`",
        ),
        ("with for_each([1]) as d:\n    deep = fit(parts.train)\nship(deep)", "from within the loop", "`collect(…)`"),
        (
            "with for_each([1]) as d:\n    ship(fitted)\ncomplain(d)",
            "the item of `for-each-1`, from within",
            "indent this",
        ),
        (
            "with for_each([1]) as d:\n    deep = fit(parts.train)\nship(first(deep))",
            "has a value for each round",
            "collect",
        ),
        (
            "with for_each([1]) as d:\n    deep = fit(parts.train)\nship(fitted).after(deep)",
            "within the loop",
            ".after(block)",
        ),
        (
            "with when(scores.output > 1):\n    deep = fit(parts.train)\nwith otherwise():\n    ship(deep)",
            "from within",
            "",
        ),
    ],
)
def test_what_may_not_be_there_is_not_read(body: str, message: str, hint: str, tmp_path: Path) -> None:
    error = refused(STEPS + f"@pipeline\ndef retrain({HEAD}):\n" + indented(PARTS + body), tmp_path)
    assert message in error.message
    assert hint in error.hint
    assert error.place.line == STEPS.count("\n") + 2 + PARTS.count("\n") + len(body.splitlines())


@pytest.mark.parametrize(
    ("definition", "message", "hint"),
    [
        ("def f(x) -> None: ...", "step `f`: parameter `x` has no type", "`Dataset`"),
        ("def f(x: set) -> None: ...", "step `f`: parameter `x` cannot be of type set", "`Dataset`"),
        ("def f(x: 'Nothing') -> None: ...", "step `f`: an annotation cannot be read: name 'Nothing'", "import"),
        ("def f(*x: int) -> None: ...", "must be an ordinary parameter", ""),
        ("def f(x: Output[int]) -> None: ...", "is an Output of int, which is no file", "return"),
        ("def f() -> Dataset: ...", "what step `f` returns cannot be Dataset", "Output[Dataset]"),
        ("def f(x: list = []) -> None: ...", "step `f`: `x` has a default that calls would share", "`= None`"),
        ("def f(x: int = 'a') -> None: ...", "step `f`: parameter `x`: 'a' is not an int", "whole number"),
        ("def f(output: Output[Model]) -> float: ...", "step `f` has two outputs called `output`", "otherwise"),
        ("async def f() -> None: ...", "step `f` is an async function", "ordinary"),
        ("class F: ...", "`@step` stands above F", "def"),
    ],
)
def test_a_function_that_cannot_be_a_step_is_refused(definition: str, message: str, hint: str, tmp_path: Path) -> None:
    error = refused(STEPS + "@step\n" + definition, tmp_path)
    assert message in error.message
    assert hint in error.hint
    assert error.place.line >= STEPS.count("\n") + 1


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ("cpu=2", "step `f`: there is no option `cpu`", "did you mean `cpus`?"),
        ("cpus=0", "step `f`: `cpus` cannot be 0", "above 0"),
        ("memory='2 GB'", "step `f`: `memory` cannot be '2 GB'", '"2Gi"'),
        ("timeout=-1", "step `f`: `timeout` cannot be -1", "seconds"),
        ("retries=1.5", "cannot be 1.5", "whole"),
        ("env={'A': 1}", "step `f`: `env` is not texts by name", "OMP"),
        ("gpus='one'", "`gpus` cannot be 'one'", "`gpus=1`"),
        ("image=3", "`image` is no text", "reference"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: str, message: str, hint: str, tmp_path: Path) -> None:
    error = refused(STEPS + f"@step({options})\ndef f() -> None: ...", tmp_path)
    assert message in error.message
    assert hint in error.hint


def test_a_function_within_another_is_no_step(tmp_path: Path) -> None:
    error = refused(STEPS + "def outer():\n    @step\n    def f() -> None: ...\nouter()", tmp_path)
    assert "`@step` stands above f" in error.message
    assert "top level" in error.hint


def test_two_steps_of_one_name_are_refused_with_both_lines(tmp_path: Path) -> None:
    again = "one = split\n@step\ndef split(rows: Dataset) -> None: ...\n"
    text = again + "@pipeline\ndef p(rows: Dataset):\n    one(rows)\n    split(rows)"
    error = refused(STEPS + text, tmp_path)
    assert error.message.startswith("two steps are called `split`: ")
    assert f"pipeline.py:4 and {tmp_path}/pipeline.py:{STEPS.count(chr(10)) + 2}" in error.message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("rows", "parameter `rows` has no type"),
        ("*rows: Dataset", "parameter `rows` has no type"),
        ("rows: Output[Dataset]", "parameter `rows` cannot be an Output"),
        ("rows: set", "parameter `rows` cannot be of type set"),
        ("how: Status", "parameter `how` cannot be a Status"),
        ("rows: int = 'x'", "parameter `rows`: 'x' is not an int"),
        ("rows: Dataset = 3", "parameter `rows`: 3 is no path"),
        ("rows: List[Dataset] = 'x'", "parameter `rows`: 'x' is no list of paths"),
        ("rows: Dataset = ['x']", "parameter `rows`: ['x'] is no path"),
    ],
)
def test_a_function_that_cannot_be_a_pipeline_is_refused(arguments: str, message: str, tmp_path: Path) -> None:
    error = refused(STEPS + f"@pipeline\ndef p({arguments}):\n    passed()", tmp_path)
    assert message in error.message


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ("", {}, "command `c` has no words"),
        ('value("x")', {}, "command `c`: `x` is none of its inputs"),
        ('out("x")', {}, "command `c`: `x` is none of its outputs"),
        ('path("x")', {"inputs": {"x": str}}, "command `c`: `x` is a str"),
        ('value("x")', {"inputs": {"x": Dataset}}, "command `c`: `x` is a Dataset"),
        ('"run"', {"outputs": {"x": Dataset}}, "command `c` is not told where to write `x`"),
        ('"run"', {"inputs": {"x": set}}, "command `c`: `x` cannot be of type set"),
        ('"run"', {"inputs": {"a b": str}}, "command `c`: `a b` cannot be that"),
        ("3", {}, "command `c`: 3 is no word"),
        ('out("x")', {"outputs": {"x": 3}}, "command `c`: output `x` has no default"),
    ],
)
def test_a_command_that_cannot_be_is_refused(words: str, options: dict[str, Any], message: str) -> None:
    from tiffin_pipeline import out, path, value  # noqa: PLC0415 - words of the commands above

    given = eval(f"({words}{',' if words else ''})", {"value": value, "path": path, "out": out})  # noqa: S307
    with pytest.raises(PipelineError) as raised:
        command("c", *given, **options)
    assert message in raised.value.message
    assert Path(raised.value.place.file).name == "test_refusals.py"


def test_blocks_outside_of_a_pipeline_are_refused() -> None:
    with pytest.raises(PipelineError, match="`when` stands outside of a pipeline"):
        when(True)


def test_a_command_cannot_be_called_outside_of_a_pipeline() -> None:
    sort: Step[object] = command("sort", "sort")
    with pytest.raises(PipelineError, match="step `sort` is a command, and no function"):
        sort()
