"""What pipeline.py imports runs on any Python that users have, with nothing beside it, and its types help them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import tiffin_pipeline
from unit.tiffin_pipeline.writing import STEPS

SRC = Path(__file__).parents[3] / "src"
PIPELINE = """
from __future__ import annotations
from tiffin_pipeline import (
    Dataset, Metrics, Model, Output, collect, command, for_each, gate, on_exit, otherwise, out, pipeline, step, value,
    when,
)

@step
def split(rows: Dataset, train: Output[Dataset], test: Output[Dataset], share: float = 0.2) -> None:
    with open(rows) as file, train.path.open("w") as copy:
        copy.write(file.read())

@step(cpus=2, memory="2Gi", env={"A": "b"})
def fit(train: Dataset, model: Output[Model], depth: int = 4) -> None: ...

@step
def score(model: Model, test: Dataset, scores: Output[Metrics]) -> float:
    scores.log("accuracy", 0.97)
    return 0.97

@step
def tell() -> None: ...

fetch = command("fetch", "curl", "-o", out("data"), value("url"), inputs={"url": str}, outputs={"data": Dataset})

@pipeline
def retrain(rows: Dataset = Dataset("rows.csv"), depth: int = 4) -> None:
    with on_exit(tell):
        parts = split(rows=rows).retry(2)
        fitted = fit(train=parts.train, depth=depth).named("one")
        scores = score(fitted.model, parts.test)
        with when((scores.output > 0.9) & ~(scores.output == depth)):
            tell()
        with otherwise():
            gate(candidate=scores.scores, metric="accuracy")
        with for_each([1, 2], parallel=2) as d:
            tried = fit(train=parts.train, depth=d)
        fetch(url="x").after(fitted)
        split(collect(tried.model))

def test_score() -> None:
    value: float = score.function(Model("m"), Dataset("d"), Metrics())
"""


def test_it_parses_on_python_3_9() -> None:
    for path in (SRC / "tiffin_pipeline").rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_it_imports_only_the_standard_library() -> None:
    modules = "tiffin_pipeline.main, tiffin_pipeline.judging, tiffin_pipeline.splitting"
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); import {modules}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    allowed = sys.stdlib_module_names | {"tiffin_pipeline", "__main__", "__mp_main__"}
    assert {name.partition(".")[0] for name in answer.stdout.split()} <= allowed


def test_no_cycles_are_looked_for_in_what_it_has_imported(tmp_path: Path) -> None:
    code = "import gc\nfrom tiffin_pipeline import pipeline, step\nprint(gc.get_freeze_count() > 1000)\n"
    code += "@step\ndef one() -> int:\n    return 1\n@pipeline\ndef two():\n    one()\n"
    words = [sys.executable, "-m", "tiffin_pipeline", "trace", "pl"]
    (tmp_path / "pl.py").write_text(code)
    environment = {"PYTHONPATH": str(SRC)}
    answer = subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert answer.stderr == "True\n"


def test_all_that_it_names_is_there() -> None:
    assert [name for name in tiffin_pipeline.__all__ if not hasattr(tiffin_pipeline, name)] == []
    assert "step" in STEPS


def test_the_types_of_a_pipeline_are_checked(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    wrong = PIPELINE.replace("cpus=2", 'cpus="two"').replace("scores.log(", "scores.lgo(")
    (tmp_path / "wrong.py").write_text(wrong)
    words = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--python-version",
        "3.11",
        "pipeline.py",
        "wrong.py",
    ]
    environment = {"MYPYPATH": str(SRC), "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in answer.stdout.splitlines() if "error:" in line]
    assert [line.partition(":")[0] for line in lines] == ["wrong.py"] * len(lines), answer.stdout
    assert any("step" in line for line in lines)
    assert any('"Metrics" has no attribute "lgo"' in line for line in lines)
