"""Models are recognised from names and first bytes, and nothing in them is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.models.detect import find_model, read_model


@pytest.fixture(scope="module")
def model() -> Any:
    data, target = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=500).fit(data, target)


@pytest.fixture(scope="module")
def named() -> Any:
    data, target = load_iris(return_X_y=True, as_frame=True)
    return LogisticRegression(max_iter=500).fit(data, target)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
def test_a_joblib_file_is_recognised_compressed_or_not(tmp_path: Path, model: Any, compress: Any) -> None:
    joblib.dump(model, tmp_path / "m.joblib", compress=compress)
    found = find_model(tmp_path)
    assert (found.format, found.needs) == ("sklearn-joblib", ("scikit-learn",))
    assert "scikit-learn" in found.trained_with


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_any_protocol_is_recognised(tmp_path: Path, model: Any, protocol: int) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model, protocol=protocol))
    assert find_model(tmp_path).format == "sklearn-pickle"


def test_a_model_that_was_fitted_on_named_columns_needs_pandas(tmp_path: Path, named: Any) -> None:
    joblib.dump(named, tmp_path / "m.joblib")
    assert find_model(tmp_path).needs == ("pandas", "scikit-learn")


def test_an_onnx_file_is_recognised(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert (find_model(tmp_path).format, find_model(tmp_path).needs) == ("onnx", ("onnxruntime",))


class Trap:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps([Trap(tmp_path / "sprung"), "sklearn.linear_model"]))
    find_model(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_without_a_model_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.joblib").write_text("not a model")
    with pytest.raises(NotFoundError, match="no model") as caught:
        find_model(tmp_path)
    assert ".joblib" in str(caught.value.hint)


def test_two_candidates_are_both_named(tmp_path: Path, model: Any) -> None:
    (tmp_path / "sub").mkdir()
    joblib.dump(model, tmp_path / "a.joblib")
    joblib.dump(model, tmp_path / "sub" / "b.joblib")
    with pytest.raises(ConfigError, match=r"2 models: a\.joblib, sub/b\.joblib") as caught:
        find_model(tmp_path)
    assert "--model" in str(caught.value.hint)


def test_hidden_files_and_environments_are_passed_over(tmp_path: Path, model: Any) -> None:
    for folder in (".cache", "env"):
        (tmp_path / folder).mkdir()
        joblib.dump(model, tmp_path / folder / "m.joblib")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    with pytest.raises(NotFoundError):
        find_model(tmp_path)


def test_a_file_of_no_known_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UnsupportedError, match=r"m\.pkl"):
        read_model(tmp_path / "m.pkl")
    with pytest.raises(NotFoundError):
        read_model(tmp_path / "absent.pkl")
