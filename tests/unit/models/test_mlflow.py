"""An MLflow folder is a model whatever lies in it; where it wraps a file that is served here, MLflow stays out."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from tiffin.errors import IntegrityError, UnsupportedError
from tiffin.models.detect import find_model, read_model
from tiffin.models.yaml_blocks import Value, read_blocks

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
        read_model(write(tmp_path / "m", "flavors: {python_function: {data: ../x}}\n"))


def test_without_requirements_the_pip_part_of_condas_file_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", requirements="")
    (folder / "conda.yaml").write_text(
        "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip<=23.2.1\n- pip:\n  - mlflow==3.17.2\n"
        "  - scikit-learn==1.9.1\nname: mlflow-env\n"
    )
    assert read_model(folder).requirements == ("scikit-learn==1.9.1",)
    (folder / "conda.yaml").unlink()
    assert read_model(folder).needs == ("scikit-learn",)


def test_values_are_folded_and_unquoted() -> None:
    document = read_blocks(MLMODEL)
    assert isinstance(document, dict)
    signature = document["signature"]
    assert isinstance(signature, dict)
    assert signature["params"] == ""
    assert '"it\'s wide"' in str(signature["inputs"])
    assert str(signature["inputs"]).endswith('{"type": "double", "name": "long"}]')


KEYS = st.text("abcdefgh_", min_size=1, max_size=6)
LEAVES = st.text("abcdefgh =<>.", min_size=1, max_size=12).map(str.strip).filter(bool)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3)
).filter(lambda value: not isinstance(value, str))


def dump(value: Value, indent: int = 0) -> list[str]:
    """Write a document as MLflow's writer does: lists of a map are not indented."""
    pad = " " * indent
    if isinstance(value, str):
        return [pad + value]
    lines: list[str] = []
    entries = [("-", inner) for inner in value] if isinstance(value, list) else [(f"{k}:", v) for k, v in value.items()]
    for head, inner in entries:
        if isinstance(inner, str):
            lines.append(f"{pad}{head} {inner}")
        elif head == "-":
            own = dump(inner, indent + 2)
            lines += [f"{pad}- {own[0].strip()}", *own[1:]]
        else:
            lines += [pad + head, *dump(inner, indent if isinstance(inner, list) else indent + 2)]
    return lines


@given(DOCUMENTS)
def test_what_is_written_is_read_again(document: Value) -> None:
    assert read_blocks("\n".join(dump(document))) == document


UNREADABLE = {
    "indented too little": "a:\n    b: c\n  d: e",
    "nested too deep": "- - - " * 40,
    "a text": "just text",
    "half a map": "a: b\nnothing",
    "a million entries": "- a\n" * 1_000_000,
    "a million spaces": "a" + " " * 1_000_000 + "b",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_such_document_never_hangs(text: str) -> None:
    with pytest.raises(ValueError, match=r"understood|deep|long"):
        read_blocks(text)
