"""The steps that are ready: rows are parted, models are scored, and one that is no better is refused."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, root_mean_squared_error

from tiffin_pipeline import Metrics, PipelineError, build, champion, deploy, evaluate, gate, push, sign, split
from tiffin_pipeline.judging import of_classes, of_numbers, table_of
from tiffin_pipeline.splitting import digest_of

IRIS = load_iris(as_frame=True).frame


class Constant:
    """A model that is none of scikit-learn's, and knows its answers."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def predict(self, rows: Any) -> list[Any]:
        assert len(rows)
        return self.answers


def parts(folder: Path, text: str, **options: Any) -> tuple[str, str]:
    (folder / "rows").write_bytes(text.encode())
    split(folder / "rows", folder / "train", folder / "test", **options)
    return (folder / "train").read_bytes().decode(), (folder / "test").read_bytes().decode()


def scored(folder: Path, model: Any, rows: str, **options: Any) -> dict[str, float]:
    (folder / "rows.csv").write_text(rows)
    (folder / "model").write_bytes(pickle.dumps(model))
    scores = Metrics(folder / "scores.json")
    evaluate(folder / "model", folder / "rows.csv", scores, **options)
    assert json.loads((folder / "scores.json").read_text()) == scores.read()
    return scores.read()


# split


def test_both_parts_have_the_header_and_every_row_is_in_one(tmp_path: Path) -> None:
    rows = [f"{number},é" for number in range(100)]
    train, test = parts(tmp_path, "a,b\n" + "\n".join(rows))
    assert (train[:4], test[:4]) == ("a,b\n", "a,b\n")
    assert sorted(train.splitlines()[1:] + test.splitlines()[1:]) == sorted(rows)
    assert len(test.splitlines()) == 21
    assert parts(tmp_path, "a,b\n" + "\n".join(rows)) == (train, test)
    assert parts(tmp_path, "a,b\n" + "\n".join(rows), seed=1) != (train, test)


def test_a_row_of_several_lines_stays_whole(tmp_path: Path) -> None:
    rows = [f'{number},"two\nlines, ""quoted"""\r\n' for number in range(10)]
    train, test = parts(tmp_path, "a,b\r\n" + "".join(rows), share=0.5)
    assert all(row in train or row in test for row in rows)
    assert len(list(csv.reader(train.splitlines(keepends=True)))) == 6


def test_json_lines_have_no_header(tmp_path: Path) -> None:
    rows = [f'{{"a": {number}}}\n' for number in range(10)]
    train, test = parts(tmp_path, "".join(rows), share=0.3)
    assert (train.count("\n"), test.count("\n")) == (7, 3)


def test_new_rows_leave_nearly_all_where_they_were(tmp_path: Path) -> None:
    rows = "".join(f"{number}\n" for number in range(1000))
    _, before = parts(tmp_path, "a\n" + rows)
    train, _ = parts(tmp_path, "a\n" + rows + "".join(f"{number}\n" for number in range(1000, 1100)))
    moved = set(before.split()[1:]) & set(train.split()[1:])
    assert len(moved) < 30


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=30), st.floats(0.05, 0.95), st.integers(0, 3))
def test_equal_rows_never_lie_on_both_sides(rows: list[str], share: float, seed: int) -> None:
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - a folder for each example

    with TemporaryDirectory() as folder:
        train, test = parts(Path(folder), "a\n" + "\n".join(rows), share=share, seed=seed)
    sides = set(train.split()[1:]), set(test.split()[1:])
    assert sorted(train.split()[1:] + test.split()[1:]) == sorted(rows)
    assert all(sides)
    assert not (sides[0] & sides[1]) or len(set(rows)) == 1


def test_files_of_a_folder_are_parted_by_their_names(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / "rows" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    split(tmp_path / "rows", tmp_path / "train", tmp_path / "test")
    found = {path.relative_to(side).as_posix(): path.read_text()
             for side in (tmp_path / "train", tmp_path / "test") for path in side.rglob("*.png")}  # fmt: skip
    assert found == {f"{number % 2}/{number}.png": str(number) for number in range(10)}
    assert len(list((tmp_path / "test").rglob("*.png"))) == 2


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a\n1\n", {}, "1 rows cannot be parted in two"),
        ("a\n1\n2\n", {"share": 1.0}, "a share of 1.0 cannot be tested on"),
        ("PAR1…", {}, "rows is Parquet, and no text"),
        ("\0\0", {}, "rows is binary, and no text"),
    ],
)
def test_what_cannot_be_parted_is_refused(text: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        parts(tmp_path, text, **options)


# evaluate


@pytest.mark.parametrize("named", [True, False])
def test_classes_are_scored_as_scikit_learn_does(*, named: bool, tmp_path: Path) -> None:
    rows = IRIS.drop(columns="target")
    model = LogisticRegression(C=0.01).fit(rows if named else rows.to_numpy(), IRIS.target)
    scores = scored(tmp_path, model, IRIS.to_csv(index=False))
    predicted = model.predict(rows if named else rows.to_numpy())
    assert scores["accuracy"] == (predicted == IRIS.target).mean()
    assert scores["f1"] == pytest.approx(f1_score(IRIS.target, predicted, average="macro"))
    assert scores["rows"] == 150


def test_numbers_are_scored_as_scikit_learn_does(tmp_path: Path) -> None:
    table = load_diabetes(as_frame=True).frame
    rows = table.drop(columns="target")
    model = LinearRegression().fit(rows, table.target)
    scores = scored(tmp_path, model, table[[*reversed(table.columns)]].to_csv(index=False), target="target")
    predicted = model.predict(rows)
    assert scores["r2"] == pytest.approx(r2_score(table.target, predicted))
    assert scores["mae"] == pytest.approx(mean_absolute_error(table.target, predicted))
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(table.target, predicted))


def test_a_model_is_read_whatever_wrote_it(tmp_path: Path) -> None:
    import skops.io  # noqa: PLC0415 - slow, and only here
    from skl2onnx import to_onnx  # noqa: PLC0415

    rows = IRIS.drop(columns="target")
    model = LogisticRegression(max_iter=1000).fit(rows.to_numpy(), IRIS.target)
    expected = (model.predict(rows.to_numpy()) == IRIS.target).mean()
    IRIS.to_csv(tmp_path / "rows.csv", index=False)
    joblib.dump(model, tmp_path / "joblib", compress=3)
    skops.io.dump(model, tmp_path / "skops")
    (tmp_path / "onnx").write_bytes(to_onnx(model, rows.to_numpy()[:1].astype("float32")).SerializeToString())
    (tmp_path / "folder").mkdir()
    joblib.dump(model, tmp_path / "folder" / "model.joblib")
    for name in ("joblib", "skops", "onnx", "folder"):
        scores = Metrics()
        evaluate.function(_model(tmp_path / name), _rows(tmp_path / "rows.csv"), scores)
        assert scores["accuracy"] == pytest.approx(expected, abs=0.01), name


def _model(path: Path) -> Any:
    return evaluate.inputs["model"].kind(path)


def _rows(path: Path) -> Any:
    return evaluate.inputs["test"].kind(path)


def test_labels_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    assert scored(tmp_path, Constant([1, 0]), "a,t\n1,1.0\n2,0\n")["accuracy"] == 1
    assert scored(tmp_path, Constant(["yes", "no"]), "a,t\n1,yes\n2,yes\n")["accuracy"] == 0.5
    assert scored(tmp_path, Constant([True, False]), "a,t\n1,True\n2,True\n")["accuracy"] == 0.5
    assert set(scored(tmp_path, Constant([1.5, 0.5]), "a,t\n1,1\n2,1\n")) == {"rmse", "mae", "rows"}
    assert scored(tmp_path, Constant([1, 2]), '{"a": "x", "t": 1}\n{"t": 3, "a": null}\n', target="t")["rmse"] > 0


@pytest.mark.parametrize(
    ("model", "rows", "options", "message"),
    [
        (Constant([1]), "a,t\n1,1\n", {"target": "y"}, "rows.csv has no column `y`; it has: a, t"),
        (Constant([1]), "a,t\n", {}, "rows.csv has no rows"),
        (Constant([1]), "a,t\n1,1\n2,1\n", {}, "the model gave 1 answers to 2 rows"),
        (Constant([float("nan"), 1]), "a,t\n1,1\n2,0.5\n", {}, "what is predicted for row 1 is nan, and no finite"),
        (Constant([[1, 2]]), "a,t\n1,1\n", {}, "the model gives several answers to a row"),
        ({"weights": 1}, "a,t\n1,1\n", {}, "the model is a dict, which has no `predict`"),
        (Constant([1, 1]), "a,t\n1,1\n2\n", {}, "row 2 of rows.csv has nothing in `t`"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    model: Any, rows: str, options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        scored(tmp_path, model, rows, **options)


def test_a_model_that_wants_other_columns_is_refused(tmp_path: Path) -> None:
    model = LogisticRegression().fit(IRIS[["petal width (cm)"]], IRIS.target)
    with pytest.raises(ValueError, match=r"the model wants the column `petal width \(cm\)`; there are: a"):
        scored(tmp_path, model, "a,t\n1,1\n")


def test_a_format_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("what?")
    (tmp_path / "rows.csv").write_text("a,t\n1,1\n")
    with pytest.raises(ValueError, match=r"the format of model model is not known here .*an `evaluate` of your own"):
        evaluate(tmp_path / "model", tmp_path / "rows.csv", Metrics())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = zip(*pairs, strict=True)
    expected = f1_score(truth, predicted, average="macro", zero_division=0)
    assert of_classes(truth, predicted)["f1"] == pytest.approx(expected)


def test_errors_of_numbers_are_those_of_scikit_learn() -> None:
    assert of_numbers([1, 1], [2, 2]) == {"rmse": 1.0, "mae": 1.0}
    assert of_numbers([1, 3], [1, 3]) == {"rmse": 0.0, "mae": 0.0, "r2": 1.0}


def test_a_table_has_numbers_where_all_are_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeffa;b;c\n1;x;\n2;3;4\n", encoding="utf-8")
    columns = table_of(tmp_path / "t.csv").columns
    assert (columns["a"], columns["b"]) == ([1.0, 2.0], ["x", "3"])
    assert repr(columns["c"]) == "[nan, 4.0]"


# gate


def metrics(data: str = "", **numbers: float) -> Metrics:
    made = Metrics(metadata={"data": data} if data else None)
    for name, number in numbers.items():
        made.log(name, number)
    return made


@pytest.mark.parametrize(
    ("new", "old", "options", "passed", "why"),
    [
        (0.9, 0.8, {}, True, "score 0.9 beats the champion's 0.8"),
        (0.8, 0.8, {}, False, "score 0.8 does not beat the champion's 0.8"),
        (0.9, 0.8, {"margin": 0.2}, False, "score 0.9 does not beat the champion's 0.8 by more than 0.2"),
        (0.7, 0.8, {"margin": -0.2}, True, "score 0.7 beats the champion's 0.8 by more than -0.2"),
        (0.7, 0.8, {"higher": False}, True, "score 0.7 beats the champion's 0.8"),
        (0.9, 0.8, {"higher": False}, False, "score 0.9 does not beat the champion's 0.8"),
        (0.1, None, {}, True, "score is 0.1, and there is no champion to beat"),
    ],
)
def test_a_model_passes_where_it_beats_the_champion(
    *,
    new: float,
    old: float | None,
    options: dict[str, Any],
    passed: bool,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    champion_ = None if old is None else metrics("sha256:a", score=old)
    verdict: Any = gate(metrics("sha256:a", score=new), champion_, metric="score", **options)
    assert tuple(verdict) == (passed, why)
    assert capsys.readouterr().out == f"{'passed' if passed else 'refused'}: {why}\n"


def test_what_cannot_be_compared_is_an_error_that_says_which(tmp_path: Path) -> None:
    (tmp_path / "nan.json").write_text('{"score": NaN}')
    with pytest.raises(ValueError, match="the metrics of the champion cannot be compared: metric `score` is nan"):
        gate(metrics(score=1), tmp_path / "nan.json", metric="score")
    with pytest.raises(ValueError, match="the metrics of the candidate have no `score`; they have: accuracy"):
        gate(metrics(accuracy=1), metrics(score=1), metric="score")
    with pytest.raises(ValueError, match="the metrics of the champion have no `score`; they have: nothing"):
        gate(metrics(score=1), metrics(), metric="score")
    with pytest.raises(ValueError, match="measured on different data: give one `test`"):
        gate(metrics("sha256:a", score=1), metrics("sha256:b", score=1), metric="score")


def test_the_digest_of_data_is_that_of_its_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("1")
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b") != digest_of(tmp_path / "b" / "x")
    (tmp_path / "b" / "y").write_text("")
    assert digest_of(tmp_path / "a") != digest_of(tmp_path / "b")


# actions


@pytest.mark.parametrize("action", [build, champion, deploy, push, sign])
def test_what_tiffin_does_itself_runs_in_pipelines_only(action: Any) -> None:
    assert action.document("/")["does"] == {"kind": "action", "name": action.name}
    assert action.document("/")["description"]
    with pytest.raises(PipelineError, match=f"step `{action.name}` is an action, and no function"):
        action()
