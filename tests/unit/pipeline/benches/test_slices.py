"""A step is given its module less what it cannot reach: it gives the same, and is known by what it can."""

from __future__ import annotations

import pytest

from tiffin.pipeline.benches.slices import Slice, slice_of
from unit.pipeline.made_modules import Made, answer, is_optional

STEPS = '''"""How rows become a model."""
import csv

from tiffin_pipeline import Dataset, Model, Output, command, out, pipeline, step, when

DEPTH = 4


def read(rows):
    return list(csv.reader(open(rows)))


@step(cpus=2, retries=2)
def fit(rows: Dataset, model: Output[Model], depth: int = 4) -> None:
    # deep
    train = read(rows)
    print(train, depth)


# What follows is cheap.
@step
def train(rows: Dataset) -> float:
    return 1.0


fetch = command("fetch", "curl", "-o", out("data"), outputs={"data": Dataset})


@pipeline
def retrain(rows: Dataset, target: float = 0.9):
    fit(rows)
    with when(train(rows).output > target):
        fetch()


if __name__ == "__main__":
    retrain.trace()
'''


def of(text: str, function: str = "fit", module: str = "pipeline", **others: str) -> Slice | None:
    """The slice of a step; `others` are other modules, whose names have __ for /."""
    sources = {f"{name.replace('__', '/')}.py": code.encode() for name, code in others.items()}
    return slice_of({f"{module.replace('.', '/')}.py": text.encode(), **sources}, module, function)


def data(text: str, function: str = "fit", **others: str) -> bytes:
    found = of(text, function, **others)
    assert found is not None
    return found.data


def edited(before: str, after: str) -> str:
    assert before in STEPS
    return STEPS.replace(before, after, 1)


def test_a_step_has_its_module_without_the_others_and_the_pipeline() -> None:
    assert (
        data(STEPS).decode()
        == """import csv
from tiffin_pipeline import Dataset, Model, Output, step
DEPTH = 4
def read(rows):
    return list(csv.reader(open(rows)))
@step
def fit(rows: Dataset, model: Output[Model], depth: int = 4) -> None:
    # deep
    train = read(rows)
    print(train, depth)
"""
    )


def test_each_of_its_lines_is_known_by_the_number_that_it_was_written_at() -> None:
    found = of(STEPS)
    assert found
    written = STEPS.split("\n")
    for given, number in zip(found.data.decode().splitlines(), found.lines, strict=True):
        assert given == written[number - 1] or given.startswith(("@step", "from tiffin_pipeline"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("target: float = 0.9", "target: float = 0.95"),
        ("    fit(rows)\n", "    fit(rows, depth=5).retry(3)\n"),
        ("return 1.0", "return 2.0"),
        ("@step\ndef train", "@step(network=True)\ndef train"),
        ("cpus=2, retries=2", "memory='4Gi', timeout=60"),
        ("@step(cpus=2, retries=2)", "@step(\n    cpus=4,  # more\n    cache=False,\n)"),
        ("@step(cpus=2, retries=2)", "@step"),
        ('"curl", "-o"', '"wget", "-O"'),
        ("# What follows is cheap.\n", "# What follows is cheap,\n# and this is said at length.\n\n\n"),
        ("import csv\n", "# an import\nimport csv\n\n"),
        ("command, out, pipeline, step, when", "command, for_each, gate, out, pipeline, step, when"),
        ("@pipeline", "@step\ndef more(rows: Dataset) -> int:\n    return 1\n\n\n@pipeline"),
        ("DEPTH = 4\n", "DEPTH = 4\n\n\n@step\ndef before() -> int:\n    return 1\n"),
        ("retrain.trace()", "print(retrain.trace())"),
        ("How rows become a model.", "How a model is made of rows."),
    ],
)
def test_what_it_cannot_use_changes_nothing(before: str, after: str) -> None:
    assert data(edited(before, after)) == data(STEPS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("DEPTH = 4", "DEPTH = 5"),
        ("# deep", "# deeper"),
        ("depth: int = 4", "depth: int = 5"),
        ("csv.reader(open(rows))", "csv.reader(open(rows), delimiter=';')"),
        ("import csv", "import csv, json"),
        ("depth)\n", "depth)\n    train()\n".replace("train()", "retrain")),
        ("def read(rows):\n", "def read(rows, other=fetch):\n"),
    ],
)
def test_what_it_may_use_changes_it(before: str, after: str) -> None:
    assert data(edited(before, after)) != data(STEPS)


def test_what_a_module_says_of_itself_counts_where_it_is_asked() -> None:
    asking = edited("print(train, depth)", "print(__doc__)")
    assert data(asking) != data(asking.replace("How rows", "How new rows"))


def test_steps_may_change_places() -> None:
    one, other = "@step\ndef one() -> int:\n    return 1\n", "@step\ndef other() -> int:\n    return 2\n"
    imports = "from tiffin_pipeline import step\n"
    assert data(imports + one + other, "one") == data(imports + other + one, "one")


def test_a_step_that_calls_another_has_that_with_what_it_needs() -> None:
    text = edited("print(train, depth)", "print(retrain, depth)")
    for name in (b"def retrain", b"def train", b"fetch = command", b"when"):
        assert name in data(text)


@pytest.mark.parametrize(
    "line",
    [
        "globals()['train']",
        "eval('train')",
        "vars()",
        "__import__('pipeline')",
        "import importlib",
        "from inspect import getmodule",
        "import sys; sys.modules['pipeline']",
        "import sys as s\n    s.modules",
        "import pipeline",
        "from pipeline import train",
        "read.__globals__['train']",
        "import builtins",
    ],
)
def test_a_step_that_may_look_at_everything_has_everything(line: str) -> None:
    assert of(edited("    # deep\n", f"    {line}\n")) is None
    assert of(edited("    return 1.0\n", f"    {line}\n")) is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("DEPTH = 4", "train = 4"),
        ("DEPTH = 4", "step = print"),
        ("DEPTH = 4", "from math import *"),
        ("DEPTH = 4", "DEPTH = ("),
        ("DEPTH = 4", "DEPTH = 4; RATE = 1"),
        ("def read(rows):\n", "def read(rows):\n    global train\n    train = 1\n"),
        ("import csv", "import csv\rimport os"),
        ('"""How rows', '# coding: latin-1\n"""How rows'),
        ('"""How rows', '\ufeff"""How rows'),
    ],
)
def test_a_file_that_is_in_doubt_stays_whole(before: str, after: str) -> None:
    assert of(edited(before, after)) is None


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        ("@step\ndef train", "@print\n@step\ndef train", "def train"),
        ("@step\ndef train", "@step(cpus=read(1))\ndef train", "def train"),
        ("def train(rows: Dataset)", "def train(rows: Dataset = read(1))", "def train"),
        ("@step\ndef train", "if DEPTH:\n  @step\n  def train", "def train"),
        ("DEPTH = 4", "__all__ = ['train']", "def train"),
        ("def read(rows):", "def read(rows: 'train'):", "def train"),
        ("def read(rows):", "def read(rows, says='a > @train'):", "def train"),
        ('"curl", "-o"', 'read("curl"), "-o"', "fetch ="),
    ],
)
def test_what_does_more_than_define_a_step_stays(before: str, after: str, stays: str) -> None:
    text = edited(before, after).replace(
        "  def train(rows: Dataset) -> float:\n    return", "  def train(rows: Dataset) -> float:\n      return"
    )
    assert stays.encode() in data(text)
    assert stays.encode() not in data(STEPS)


@pytest.mark.parametrize(
    "other",
    ["import pipeline", "from pipeline import fit", "import sys\nsys.modules", "import importlib", "pipeline = ("],
)
def test_a_file_that_may_be_had_by_another_stays_whole(other: str) -> None:
    assert of(STEPS, predict=other) is None


def test_files_that_have_others_change_nothing() -> None:
    assert of(STEPS, predict="from sklearn.pipeline import Pipeline\n# modules\n", more__rows="import csv\n") == of(
        STEPS
    )


def test_a_module_within_packages_is_had_in_more_ways() -> None:
    assert of(STEPS, module="steps.training") is not None
    for other in ("import steps", "from steps import training", "import steps.training as t", "from steps import *"):
        assert of(STEPS, module="steps.training", predict=other) is None
    for other in ("from . import training", "from .training import fit", "from .. import steps"):
        assert of(STEPS, module="steps.training", steps__other=other) is None
    assert of(STEPS, module="steps.training", predict="from steps.other import rows\n") is not None


@pytest.mark.parametrize("how", ["import tiffin_pipeline as t\n", "import tiffin_pipeline as t, os\n"])
def test_the_language_may_go_by_any_name(how: str) -> None:
    steps = "@s\ndef a() -> int:\n    return 1\n@t.step(cpus=1)\ndef b() -> int:\n    return 2\n"
    text = f"{how}from tiffin_pipeline import step as s\n{steps}"
    assert b"def b" not in data(text, "a")
    assert b"def a" not in data(text, "b")
    assert b"@t.step\n" in data(text, "b")


def test_a_step_that_is_none_of_the_file_has_everything() -> None:
    assert of(STEPS, "elsewhere") is None
    assert slice_of({"pipeline.py": STEPS.encode()}, "other", "fit") is None


def test_a_step_of_the_language_has_the_classes_of_the_project_and_no_step() -> None:
    sources = {"pipeline.py": edited("DEPTH = 4", "class Net:\n    pass").encode(), "rows.py": b"import csv\n"}
    found = slice_of(sources, "tiffin_pipeline.ready", "evaluate")
    assert found is not None
    assert b"class Net" in found.data
    assert b"@" not in found.data
    assert slice_of({**sources, "more.py": b"import tiffin_pipeline\n"}, "tiffin_pipeline.ready", "evaluate") is None
    assert slice_of({"rows.py": b""}, "tiffin_pipeline.ready", "evaluate") is None


def test_a_block_for_scripts_stays_where_the_file_may_be_run() -> None:
    assert b"__main__" not in data(STEPS)
    assert b"__main__" in data(edited("# deep", "print(__file__)"))


@pytest.mark.parametrize("seed", range(300))
def test_a_step_gives_the_same_with_less_and_whatever_it_uses_changes_what_it_has(seed: int) -> None:
    made = Made(seed)
    whole, reached = answer(made.text), made.reached()
    part = data(made.text, "target")
    assert answer(part.decode()) == whole
    for name, text in made.texts.items():
        assert (text.partition("def ")[2].partition(":")[0].encode() in part) or name not in reached
    for number, name in made.chance.sample(sorted(made.owner.items()), 4):
        changed = made.text.replace(str(number), str(number + 1_000_000))
        now = data(changed, "target")
        if now == part:
            assert answer(changed) == whole
        else:
            assert name in reached or not is_optional(made.texts[name])
            assert answer(now.decode()) == answer(changed)
