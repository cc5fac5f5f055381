"""An MLflow folder is a model whatever lies in it; where it wraps a file that is served here, MLflow stays out."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from tiffin.errors import ConfigError, IntegrityError, UnsupportedError
from tiffin.models.detect import find_model, read_model

MLMODEL = """\
flavors:
  python_function:
    code: null
    env:
      conda: conda.yaml
    loader_module: mlflow.sklearn
  sklearn:
    code: null
    pickled_model: model.pkl
    sklearn_version: 1.9.1
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "it''s wide", "required": true}, {"type":
    "double", "name": "long"}]'
  params: null
"""
REQUIREMENTS = (
    "mlflow==3.17.2\n# a comment\n-c constraints.txt\nscikit-learn==1.9.1\nxgboost-cpu==3.2.0\nxgboost==3.2.0"
)


def write(folder: Path, text: str = MLMODEL, requirements: str = REQUIREMENTS) -> Path:
    folder.mkdir()
    (folder / "MLmodel").write_text(text)
    (folder / "model.pkl").write_bytes(pickle.dumps(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])))
    if requirements:
        (folder / "requirements.txt").write_text(requirements)
    return folder


def test_the_file_that_a_folder_wraps_is_served_without_mlflow(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    found = find_model(tmp_path)
    assert (found.format, found.path, found.named) == ("sklearn-pickle", folder / "model.pkl", folder)
    assert (found.requirements, found.needs) == (("scikit-learn==1.9.1", "xgboost-cpu==3.2.0"), ())
    assert found.files == (folder / "model.pkl",)


def test_code_of_its_own_or_another_flavor_is_served_by_mlflow(tmp_path: Path) -> None:
    for name, text in {
        "a": MLMODEL.replace("code: null", "code: code"),
        "b": "flavors:\n  prophet:\n    x: y\n",
    }.items():
        found = read_model(write(tmp_path / name, text))
        assert (found.format, found.path) == ("mlflow", tmp_path / name)
        assert "mlflow==3.17.2" in found.requirements


def test_a_flavor_that_names_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "other")
    with pytest.raises(
        IntegrityError, match=r"MLmodel: `pickled_model` leads out of the folder: '\.\./other/model\.pkl'"
    ):
        read_model(write(tmp_path / "m", MLMODEL.replace("model.pkl", "../other/model.pkl")))


def test_flavors_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="the flavors of"):
        read_model(write(tmp_path / "m", "flavors: python_function\n"))


def test_without_requirements_the_pip_part_of_condas_file_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", requirements="")
    (folder / "conda.yaml").write_text(
        "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip<=23.2.1\n- pip:\n  - mlflow==3.17.2\n"
        "  - scikit-learn==1.9.1\nname: mlflow-env\n"
    )
    assert read_model(folder).requirements == ("scikit-learn==1.9.1",)
    (folder / "conda.yaml").unlink()
    assert read_model(folder).needs == ("scikit-learn",)


def test_of_what_mlflow_saw_imported_only_what_the_file_needs_is_kept(tmp_path: Path) -> None:
    text = "flavors:\n  lightgbm:\n    code: null\n    data: model.lgb\n"
    lines = "mlflow==3.17.2\nlightgbm==4.7.0\npytest==9.2.0\ntorch==2.13.0\n"
    folder = write(tmp_path / "m", text, lines)
    (folder / "model.lgb").write_text("tree\nversion=v4\n")
    found = read_model(folder)
    assert (found.format, found.requirements, found.needs) == ("lightgbm", ("lightgbm==4.7.0",), ())


@pytest.mark.parametrize("name", ["MLmodel", "conda.yaml"])
def test_a_document_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "m", requirements="")
    (folder / name).write_text("a: &a [x]\nb: *a\n")
    with pytest.raises(ConfigError, match=f"{name}: line 2 has the alias"):
        find_model(tmp_path)


def test_a_file_of_that_name_without_flavors_is_no_model(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", "name: mine\n")
    assert find_model(folder).format == "sklearn-pickle"
