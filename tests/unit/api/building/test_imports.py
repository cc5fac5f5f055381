"""A model that would run code stops `init` and `build`, until the project allows what it imports."""

from __future__ import annotations

import pickle
import tomllib
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tiffin.api.building.imports import approve_weights
from tiffin.api.building.initialise import Asked, initialise
from tiffin.api.machine.home import Home
from tiffin.build.recipes import SourceFile
from tiffin.config.read import read_project
from tiffin.errors import DeniedError
from tiffin.oci.digest import Digest


def saved(folder: Path) -> Path:
    """Save a model whose first step is a function of the user's own, without that module being there."""
    model = make_pipeline(FunctionTransformer(), LogisticRegression()).fit([[0.0], [1.0]], [0, 1])
    data = pickle.dumps(model, protocol=4)
    own = b"\x8c\x05steps\x8c\x09scrambled\x93"
    place = data.index(b"\x8c\x04func\x94N") + 7
    patched = data[:place] + own + data[place + 1 :]
    frame = int.from_bytes(patched[3:11], "little") + len(own) - 1
    (folder / "model.pkl").write_bytes(patched[:3] + frame.to_bytes(8, "little") + patched[11:])
    return folder / "model.pkl"


def test_init_refuses_until_the_name_is_allowed_and_then_writes_it_down(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(DeniedError, match=r"steps:scrambled \(STACK_GLOBAL at byte \d+\)"):
        initialise(tmp_path, Asked())
    assert not (tmp_path / "tiffin.toml").exists()
    target, _ = initialise(tmp_path, Asked(allow=["steps:scrambled"]))
    assert tomllib.loads(target.read_text())["model"]["allow-imports"] == ["steps:scrambled"]
    assert read_project(tmp_path)[1].model.allow_imports == ("steps:scrambled",)


def test_build_refuses_and_remembers_what_it_approved(tmp_path: Path) -> None:
    path, home = saved(tmp_path), Home(data=tmp_path / "data", cache=tmp_path / "cache")
    file = SourceFile(path="models/model.pkl", digest=Digest.of(path.read_bytes()), size=1)
    given = [file], {file.path: path}, "sklearn-pickle"
    for _ in range(2):
        with pytest.raises(DeniedError, match="steps:scrambled"):
            approve_weights(*given, [], home)
    approve_weights(*given, ["steps:scrambled"], home)
    path.unlink()
    approve_weights(*given, ["steps:scrambled"], home)


def test_an_ordinary_model_needs_no_permission(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "model.joblib")
    target, _ = initialise(tmp_path, Asked())
    assert "allow-imports" not in target.read_text()
