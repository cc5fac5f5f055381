"""`python -m tiffin_pipeline`: what the tool asks of a container, and what steps do outside of any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tiffin_pipeline import Metrics, Status
from tiffin_pipeline.loading import traced
from tiffin_pipeline.work import do
from unit.tiffin_pipeline.writing import module_of

SRC = Path(__file__).parents[3] / "src"
TEXT = """\
import sys
from typing import List, NamedTuple, Optional
from tiffin_pipeline import *

print("imported")

class Counted(NamedTuple):
    rows: int
    names: list
    share: float

class Table(Dataset): ...

@step
def count(rows: Table, more: List[Dataset], copy: Output[Dataset], scale: float = 1.0) -> Counted:
    assert type(scale) is float and type(rows) is Table, (scale, rows)
    with open(rows) as file:
        text = file.read() + "".join(one.path.read_text() for one in more)
    copy.path.write_text(text)
    copy.metadata["rows"] = text.count("\\n")
    return Counted(text.count("\\n"), ["a", "b"], 1)

@step
def say(text: str) -> str:
    return text

@step
def fail(text: str) -> None:
    raise ValueError(text)

@step
def leave(code: int) -> None:
    sys.exit(code)

@step
def nothing(made: Output[Model]) -> None: ...

@step
def wrong() -> int:
    return "3"

@step
def more() -> None:
    return 3

@step
def nan() -> float:
    return float("nan")

@step
def fewer() -> Counted:
    return (1, 2)

@step
def score(scores: Output[Metrics], value: float = 0.5) -> None:
    scores.log("accuracy", value)

@step
def by_hand(scores: Output[Metrics]) -> None:
    scores.path.write_text('{"accuracy": NaN}')

@step
def folder(made: Output[Dataset]) -> None:
    made.path.mkdir()

@step
def ended(how: Status) -> str:
    return how.state + how.error

@step
def absent(model: Optional[Model], least: Optional[float], text: str = "x") -> str:
    return "%s %s %s" % (model, least, text)

@pipeline
def retrain(text: str = "a"):
    say(text)
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.py").write_text(TEXT)
    return tmp_path


def order(folder: Path, function: str, **more: Any) -> dict[str, Any]:
    """An order as the tool writes it, with what differs."""
    plain: dict[str, Any] = {"module": "pipeline", "function": function, "metadata": str(folder / "out/metadata.json")}
    plain.update({key: {} for key in ("values", "inputs", "outputs", "parameters")}, many=[])
    for name in more.pop("gives", ()):
        plain["parameters"][name] = {"path": str(folder / "out/parameters" / name), "type": "any"}
    for name in more.pop("writes", ()):
        plain["outputs"][name] = {"path": str(folder / "out/artifacts" / name), "type": "any"}
    return {**plain, **more}


def ran(code: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    words = [sys.executable, "-m", "tiffin_pipeline", *arguments]
    return subprocess.run(words, cwd=code, env=environment, capture_output=True, text=True, check=False)


def done(code: Path, asked: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (code / "out").mkdir(exist_ok=True)
    (code / "order.json").write_text(json.dumps(asked))
    return ran(code, "step", "order.json")


def test_a_graph_is_all_that_trace_prints(code: Path) -> None:
    answer = ran(code, "trace", "pipeline")
    assert json.loads(answer.stdout)["graph"]["name"] == "retrain"
    assert (answer.returncode, answer.stderr) == (0, "imported\n")
    assert ran(code, "trace", "pipeline.py", "retrain").stdout == answer.stdout


@pytest.mark.parametrize(
    ("text", "name", "message", "hint", "line"),
    [
        ("import nothing_like_it", "", "ModuleNotFoundError: No module named 'nothing_like_it'", "requirements", 1),
        ("x = 1\n1 / 0", "", "ZeroDivisionError: division by zero", "try `python pipeline.py`", 2),
        ("x = (", "", "SyntaxError: '(' was never closed", "", 1),
        ("import sys\nsys.exit(3)", "", "SystemExit: 3", "", 2),
        ("x = 1", "", "no pipeline is in this file", "@pipeline", 0),
        (TEXT, "retrian", "no pipeline `retrian` is in this file", "did you mean `retrain`?", 0),
        (TEXT + "@pipeline\ndef two(): ...", "", "several pipelines are in this file: `retrain`, `two`", "name one", 0),
        (
            TEXT + "@pipeline\ndef two():\n    say()",
            "two",
            "step `say` is not given `text`",
            "add",
            TEXT.count("\n") + 3,
        ),
    ],
)
def test_what_is_wrong_is_answered_with_its_place(
    text: str, name: str, message: str, hint: str, line: int, tmp_path: Path
) -> None:
    (tmp_path / "pipeline.py").write_text(text)
    answer = json.loads(ran(tmp_path, "trace", "pipeline", *([name] if name else [])).stdout)
    assert answer["error"]["message"] == message
    assert hint in answer["error"]["hint"]
    assert answer["error"]["place"] == {"file": "pipeline.py", "line": line}


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    answer = json.loads(ran(tmp_path, "trace", "pipeline").stdout)
    assert answer["error"]["message"] == "there is no pipeline.py"


def test_a_graph_is_traced_in_this_process_as_well(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "pipeline", raising=False)
    assert traced("pipeline", "", str(code))["graph"]["name"] == "retrain"
    monkeypatch.delitem(sys.modules, "pipeline")


def test_a_step_reads_and_writes_what_it_is_told(code: Path) -> None:
    for name in ("rows.csv", "a", "b"):
        (code / name).write_text("x\n")
    asked = order(code, "count", gives=("rows", "names", "share"), writes=("copy",), many=["more"], values={"scale": 2})
    asked["inputs"] = {
        "rows": [{"path": str(code / "rows.csv"), "type": "Table", "metadata": {}}],
        "more": [{"path": str(code / name), "type": "Dataset", "metadata": {}} for name in "ab"],
    }
    answer = done(code, asked)
    assert (answer.returncode, answer.stderr) == (0, "")
    out = code / "out"
    assert {path.name: path.read_text() for path in (out / "parameters").iterdir()} == {
        "rows": "3",
        "names": '["a", "b"]',
        "share": "1.0",
    }
    assert (out / "artifacts/copy").read_text() == "x\nx\nx\n"
    assert json.loads((out / "metadata.json").read_text()) == {"copy": {"rows": 3}}


def test_a_text_is_written_as_it_is(code: Path) -> None:
    assert done(code, order(code, "say", gives=("output",), values={"text": '"é"\n'})).returncode == 0
    assert (code / "out/parameters/output").read_text() == '"é"\n'


def test_what_may_stay_away_is_none(code: Path) -> None:
    assert done(code, order(code, "absent", gives=("output",), inputs={"model": []})).returncode == 0
    assert (code / "out/parameters/output").read_text() == "None None x"


def test_metrics_are_a_json_object(code: Path) -> None:
    assert done(code, order(code, "score", writes=("scores",))).returncode == 0
    assert json.loads((code / "out/artifacts/scores").read_text()) == {"accuracy": 0.5}


def test_a_step_may_make_a_folder(code: Path) -> None:
    assert done(code, order(code, "folder", writes=("made",))).returncode == 0
    assert (code / "out/artifacts/made").is_dir()


def test_a_step_is_told_how_what_it_ends_ended(code: Path) -> None:
    values = {"how": {"state": "FAILED", "error": "!"}}
    assert done(code, order(code, "ended", gives=("output",), values=values)).returncode == 0
    assert (code / "out/parameters/output").read_text() == "FAILED!"


def test_a_failure_is_told_as_its_writer_would_see_it(code: Path) -> None:
    answer = done(code, order(code, "fail", values={"text": "no rows"}))
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{code}/pipeline.py", line {TEXT[: TEXT.index("raise")].count(chr(10)) + 1}, in fail',
        "    raise ValueError(text)",
        "ValueError: no rows",
    ]


def test_a_module_that_does_not_import_is_told(code: Path) -> None:
    (code / "pipeline.py").write_text("import nothing_like_it")
    answer = done(code, order(code, "say"))
    assert answer.returncode == 1
    assert f'File "{code}/pipeline.py", line 1' in answer.stderr
    assert "tiffin_pipeline" not in answer.stderr
    assert "importlib" not in answer.stderr


@pytest.mark.parametrize(
    ("function", "gives", "writes", "message"),
    [
        ("nothing", (), ("made",), "it wrote nothing to its output `made`: write a file or folder at `made.path`"),
        ("wrong", ("output",), (), "its output `output` is an int: '3' is not an int"),
        ("more", (), (), "it returned 3, and says that it returns nothing"),
        ("nan", ("output",), (), "its output `output` is a float: nan is not finite, and cannot be passed on"),
        ("fewer", ("rows", "names", "share"), (), "it returned (1, 2), and says that it returns rows, names, share"),
        ("by_hand", (), ("scores",), "its output `scores`: metric `accuracy` is nan: a metric is a finite number"),
    ],
)
def test_what_is_not_what_was_said_ends_with_2(
    function: str, gives: tuple[str, ...], writes: tuple[str, ...], message: str, code: Path
) -> None:
    answer = done(code, order(code, function, gives=gives, writes=writes))
    assert answer.returncode == 2
    assert f"step `{function}`: {message}" in answer.stderr


def test_a_metric_that_is_nan_fails_where_it_is_logged(code: Path) -> None:
    answer = done(code, order(code, "score", writes=("scores",)) | {"values": {"value": float("nan")}})
    assert answer.returncode == 1
    assert "metric `accuracy` is nan: a metric is a finite number" in answer.stderr


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (3, 1)])
def test_a_step_that_exits_has_done_its_work_only_with_0(status: int, ends: int, code: Path) -> None:
    assert done(code, order(code, "leave", values={"code": status})).returncode == ends


def test_a_step_is_done_in_this_process_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = module_of(TEXT, tmp_path)
    assert do(order(tmp_path, "wrong", gives=("output",)) | {"module": module.__name__}) == 2
    assert "'3' is not an int" in capsys.readouterr().err


def test_anything_else_is_answered_with_how_it_is_used(tmp_path: Path) -> None:
    answer = ran(tmp_path, "steps")
    assert answer.returncode == 64
    assert answer.stderr.startswith("usage: python -m tiffin_pipeline trace MODULE [NAME]")


def test_a_step_called_outside_of_a_pipeline_runs(tmp_path: Path) -> None:
    module = module_of(TEXT, tmp_path)
    (tmp_path / "rows").write_text("x\n")
    counted = module.count(tmp_path / "rows", [str(tmp_path / "rows")], copy=str(tmp_path / "copy"))
    assert (counted.rows, (tmp_path / "copy").read_text()) == (2, "x\nx\n")
    assert module.ended(Status("FAILED", "!")) == "FAILED!"
    module.score(tmp_path / "scores.json", 0.25)
    assert Metrics(tmp_path / "scores.json")["accuracy"] == 0.25
    scores = Metrics()
    module.score.function(scores, 1)
    assert dict(scores.read()) == {"accuracy": 1}
    with pytest.raises(TypeError, match="missing a required argument: 'text'"):
        module.say()
