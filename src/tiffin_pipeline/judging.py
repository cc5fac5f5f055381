"""Has a model predict the rows of a table, and says how near that is to what is true."""

from __future__ import annotations

import csv
import json
import math
import pickle
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

from tiffin_pipeline.artifacts import plain
from tiffin_pipeline.errors import a
from tiffin_pipeline.splitting import delimiter_of, files_in, is_json_lines

Cell = Union[float, str]
_OWN = "write an `evaluate` of your own: a step that loads it and logs its metrics"
_NUMPY = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
}


class Table(NamedTuple):
    """Rows by column: each of numbers, or of texts."""

    columns: Dict[str, List[Cell]]
    rows: int


class Answers(NamedTuple):
    """What a model predicted, and whether that is classes; None where it does not say."""

    each: List[Any]
    classes: "bool | None"


def judged(model: Path, test: Path, target: str) -> Dict[str, float]:
    """The metrics of a model on a table; raises ValueError for what cannot be loaded, read or predicted."""
    table = table_of(test)
    target = target or list(table.columns)[-1]
    if target not in table.columns:
        raise ValueError("%s has no column `%s`; it has: %s" % (test.name, target, ", ".join(table.columns)))
    truth = table.columns[target]
    for row, one in enumerate(truth):
        if one == "" or one != one:  # noqa: PLR0124 - NaN is not itself
            raise ValueError("row %d of %s has nothing in `%s`" % (row + 1, test.name, target))
    rest = Table({name: column for name, column in table.columns.items() if name != target}, table.rows)
    answers = _answers(model, rest)
    if len(answers.each) != table.rows:
        raise ValueError("the model gave %d answers to %d rows" % (len(answers.each), table.rows))
    classes = _are_classes(answers, truth)
    return {**(of_classes if classes else of_numbers)(truth, answers.each), "rows": table.rows}


def table_of(path: Path) -> Table:
    """The table of a CSV file or of JSON lines; raises ValueError where it has no rows, or they do not fit."""
    if path.is_dir():
        files = files_in(path)
        if len(files) != 1:
            raise ValueError("%s is a folder of %d files, and no table: %s" % (path.name, len(files), _OWN))
        path = files[0]
    rows = _json_rows(path) if is_json_lines(path) else _csv_rows(path)
    if not rows:
        raise ValueError("%s has no rows" % path.name)
    names = list(rows[0])
    for number, row in enumerate(rows):
        if list(row) != names and set(row) != set(names):
            raise ValueError("row %d of %s does not have the columns of the first" % (number + 1, path.name))
    return Table({name: _column([row[name] for row in rows]) for name in names}, len(rows))


def _csv_rows(path: Path) -> List[Dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter_of(path), restkey="")
        return list(reader)


def _json_rows(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _column(cells: Sequence[Any]) -> List[Cell]:
    """Numbers where all are such, with NaN for what is empty; else texts."""
    try:
        return [math.nan if cell in ("", None) else float(cell) for cell in cells]
    except (TypeError, ValueError):
        return ["" if cell is None else str(cell) for cell in cells]


# Models.


def _answers(model: Path, table: Table) -> Answers:
    if model.is_dir():
        files = files_in(model)
        if len(files) != 1:
            raise ValueError(
                "the model is a folder of %d files, whose format is not known here: %s" % (len(files), _OWN)
            )
        model = files[0]
    with model.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK\x03\x04"):
        return _asked(_skops(model), table)
    if start[:1] == b"\x08" or model.suffix == ".onnx":
        return _asked_onnx(model, table)
    if start.startswith((b"\x80", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x78", b"]\x00")):
        return _asked(_pickled(model), table)
    raise ValueError(
        "the format of model %s is not known here (joblib, pickle, skops and ONNX are): %s" % (model.name, _OWN)
    )


def _pickled(path: Path) -> Any:
    try:
        import joblib
    except ImportError:
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - a step of the same pipeline made it, and this is its container
    return joblib.load(path)


def _skops(path: Path) -> Any:
    import skops.io

    # A step of the same pipeline made it, and this is its container.
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def _asked(model: Any, table: Table) -> Answers:
    if not hasattr(model, "predict"):
        raise ValueError("the model is %s, which has no `predict`: %s" % (a(type(model).__name__), _OWN))
    names = [str(name) for name in getattr(model, "feature_names_in_", table.columns)]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ValueError("the model wants the column `%s`; there are: %s" % (missing[0], ", ".join(table.columns)))
    predicted = model.predict(_matrix({name: table.columns[name] for name in names}, table.rows, model))
    classes = True if hasattr(model, "classes_") else None
    if getattr(model, "_estimator_type", "") == "regressor":
        classes = False
    return Answers(_listed(predicted), classes)


def _matrix(columns: Dict[str, List[Cell]], rows: int, model: Any) -> Any:
    """A data frame for a model that knows names of columns or is given texts; else a matrix of what there is."""
    texts = any(isinstance(column[0], str) for column in columns.values())
    try:
        if texts or hasattr(model, "feature_names_in_"):
            import pandas as pd

            return pd.DataFrame(columns)
        import numpy as np
    except ImportError:
        return [[column[row] for column in columns.values()] for row in range(rows)]
    return np.column_stack([np.asarray(column, dtype="float64") for column in columns.values()])


def _asked_onnx(path: Path, table: Table) -> Answers:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    fed: Dict[str, Any] = {}
    if len(inputs) == 1:
        columns = [np.asarray(column, dtype=_NUMPY.get(inputs[0].type)) for column in table.columns.values()]
        fed[inputs[0].name] = np.column_stack(columns)
    else:
        for one in inputs:
            if one.name not in table.columns:
                raise ValueError(
                    "the model wants the column `%s`; there are: %s" % (one.name, ", ".join(table.columns))
                )
            fed[one.name] = np.asarray(table.columns[one.name], dtype=_NUMPY.get(one.type)).reshape(-1, 1)
    first = session.get_outputs()[0]
    answers = session.run([first.name], fed)[0]
    return Answers(_listed(answers), first.type not in ("tensor(float)", "tensor(double)"))


def _listed(predicted: Any) -> List[Any]:
    """One answer a row; raises ValueError where a row has several."""
    values = predicted.tolist() if hasattr(predicted, "tolist") else list(predicted)
    flat = [value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else plain(value) for value in values]
    if any(isinstance(value, (list, tuple)) for value in flat):
        raise ValueError("the model gives several answers to a row: %s" % _OWN)
    return flat


# Scores.


def _are_classes(answers: Answers, truth: Sequence[Cell]) -> bool:
    """Whether these are classes: as the model says, else where they are texts, or the very labels that are there."""
    if answers.classes is not None:
        return answers.classes
    if any(isinstance(one, str) for one in truth):
        return True
    labels = {label(one) for one in truth}
    return all(float(one).is_integer() for one in labels) and {label(one) for one in answers.each} <= labels


def label(value: Any) -> "float | str":
    """A class as it is compared: a number where it can be one, so that `1`, `1.0`, `"1"` and `True` are the same."""
    if value in ("True", "False", "true", "false"):
        return float(value in ("True", "true"))
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def of_classes(truth: Sequence[Any], predicted: Sequence[Any]) -> Dict[str, float]:
    """`accuracy`, and `f1` as the mean over classes."""
    pairs: List[Tuple[Any, Any]] = [(label(one), label(other)) for one, other in zip(truth, predicted)]  # noqa: B905
    right = sum(one == other for one, other in pairs)
    scores = []
    for name in {name for pair in pairs for name in pair}:
        hits = sum(one == other == name for one, other in pairs)
        there = sum((one == name) + (other == name) for one, other in pairs)
        scores.append(2 * hits / there)
    return {"accuracy": right / len(pairs), "f1": math.fsum(scores) / len(scores)}


def of_numbers(truth: Sequence[Any], predicted: Sequence[Any]) -> Dict[str, float]:
    """`rmse` and `mae`, and `r2` where what is true is not all the same; raises ValueError for what is no number."""
    both = enumerate(zip(truth, predicted))  # noqa: B905 - `strict` came with Python 3.10
    pairs = [(_finite(one, row, "true"), _finite(other, row, "predicted")) for row, (one, other) in both]
    squares = math.fsum((one - other) ** 2 for one, other in pairs)
    mean = math.fsum(one for one, _ in pairs) / len(pairs)
    spread = math.fsum((one - mean) ** 2 for one, _ in pairs)
    scores = {
        "rmse": math.sqrt(squares / len(pairs)),
        "mae": math.fsum(abs(one - other) for one, other in pairs) / len(pairs),
    }
    return {**scores, "r2": 1 - squares / spread} if spread else scores


def _finite(value: Any, row: int, what: str) -> float:
    number = label(value)
    if isinstance(number, str) or not math.isfinite(number):
        raise ValueError("what is %s for row %d is %r, and no finite number" % (what, row + 1, value))
    return number
