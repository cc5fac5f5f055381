"""Files of rows and of results, with numpy and pandas as witnesses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tiffin.errors import ConfigError, TiffinError, UnsupportedError
from tiffin.traffic.results import records, write_results
from tiffin.traffic.rows import Row, kind_of, read_rows

COLUMNS = {"a": "FP64", "n": "INT64", "t": "BYTES", "b": "BOOL"}


def rows(path: Path, kind: str = "", columns: dict[str, str] | None = None) -> list[Row]:
    return list(read_rows(path, kind_of(path, kind), COLUMNS if columns is None else columns))


def test_csv_gives_the_model_its_columns_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("\ufeffid,t,a,n,b\n7,x,1.5,2,true\n8,,,3,0\n")
    first, second = rows(path)
    assert first.asked == {"a": 1.5, "n": 2, "t": "x", "b": True}
    assert first.known == {"id": "7", "t": "x", "a": "1.5", "n": "2", "b": "true"}
    assert second.asked == {"a": None, "n": 3, "t": "", "b": False}


@pytest.mark.parametrize(
    ("line", "problem"),
    [("x,y,2,z,true", "'y' is no number"), ("x,1,2.5,z,true", "'2.5' is no number"), ("1,2", "has 2 values"),
     ("x,1,2,z,maybe", "neither true nor false")],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_a_problem_of_its_own(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"id,a,n,t,b\n{line}\n1,1,1,t,1\n")
    bad, good = rows(path)
    assert problem in bad.problem
    assert (good.problem, good.number) == ("", 2)


def test_csv_without_a_head_is_rows_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("1,2.5\n3,\n")
    assert [row.asked for row in rows(path, columns={})] == [[1.0, 2.5], [3.0, None]]


def test_json_lines_are_lists_or_objects(tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text('[1, 2]\n\n{"a": 1, "n": 2, "t": "x", "b": true, "more": 3}\n{"a": 1}\n{\n')
    plain, named, short, broken = rows(path)
    assert plain.asked == [1, 2]
    assert named.asked == {"a": 1, "n": 2, "t": "x", "b": True}
    assert short.problem == "column 'n' is missing"
    assert broken.problem.startswith("not valid JSON")


@given(arrays.arrays(st.sampled_from([np.float64, np.float32, np.int8, np.int64, np.uint16, np.bool_, ">f8"]),
                     st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 2))))  # fmt: skip
def test_npy_is_read_as_numpy_reads_it(tmp_path_factory: pytest.TempPathFactory, array: Any) -> None:
    path = tmp_path_factory.mktemp("npy") / "in.npy"
    np.save(path, array)
    found = np.array([row.asked for row in rows(path)], dtype=array.dtype).reshape(array.shape)
    np.testing.assert_array_equal(found, array)


def test_files_that_are_not_what_they_say_are_refused(tmp_path: Path) -> None:
    for name, data in [
        ("x.npy", b"nothing"),
        ("x.csv", b"a,n,t,b\n\xff\n"),
        ("y.npy", b"\x93NUMPY\x01\x00\x05\x00({["),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=name):
            rows(tmp_path / name)
    np.save(tmp_path / "cut.npy", np.zeros((4, 2)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    with pytest.raises(ConfigError, match="ends in row 4 of 4"):
        rows(tmp_path / "cut.npy")
    np.save(tmp_path / "f.npy", np.asfortranarray(np.zeros((2, 2))))
    with pytest.raises(UnsupportedError, match="columns come first"):
        rows(tmp_path / "f.npy")
    (tmp_path / "missing.csv").write_text("a,n,t\n")
    with pytest.raises(ConfigError, match="column 'b' is missing"):
        rows(tmp_path / "missing.csv")
    with pytest.raises(UnsupportedError, match="cannot be seen"):
        kind_of(Path("data.bin"))


ANSWER = {
    "predictions": ["x", "y"],
    "probabilities": [[0.25, 0.75], [0.5, 0.5]],
    "classes": ["x", "y"],
    "outputs": {"score": [1.5, 2.5]},
}


def test_an_answer_becomes_a_record_a_row() -> None:
    assert records(json.dumps(ANSWER).encode(), 2)[0] == {
        "prediction": "x",
        "score": 1.5,
        "probability_x": 0.25,
        "probability_y": 0.75,
    }
    with pytest.raises(ConfigError, match="does not have a row for each row"):
        records(json.dumps(ANSWER).encode(), 3)


def kept(folder: Path, found: list[dict[str, Any]]) -> Path:
    path = folder / "kept"
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in found))
    return path


def test_results_are_read_back_by_pandas(tmp_path: Path) -> None:
    found = records(json.dumps(ANSWER).encode(), 2)
    with (tmp_path / "out.csv").open("wb") as file:
        write_results("csv", kept(tmp_path, found), file)
    assert pd.read_csv(tmp_path / "out.csv").to_dict("records") == found


@pytest.mark.parametrize(
    ("values", "dtype"), [([1, 2], np.int64), ([1.5, None], np.float64), ([[1, 2], [3, 4]], np.int64), ([], np.int64)]
)
def test_predictions_are_read_back_by_numpy(tmp_path: Path, values: list[Any], dtype: Any) -> None:
    with (tmp_path / "out.npy").open("wb") as file:
        write_results("npy", kept(tmp_path, [{"prediction": value} for value in values]), file)
    expected = np.array([float("nan") if value is None else value for value in values], dtype=dtype)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_predictions_of_several_shapes_do_not_fit_into_npy(tmp_path: Path) -> None:
    with (tmp_path / "out.npy").open("wb") as file, pytest.raises(TiffinError, match="one shape"):
        write_results("npy", kept(tmp_path, [{"prediction": [1]}, {"prediction": 1}]), file)
