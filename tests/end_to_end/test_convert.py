"""A forest becomes ONNX on its way into the image: clients see no difference, and the report is there."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from end_to_end.small import run_tiffin, tiffin

PROJECT = """\
name = "forest"
[model]
path = "model.joblib"
convert = "onnx"
{more}
[python]
dependencies = ["scikit-learn==1.9.1", "joblib", "numpy"]
[image]
bytecode = false
[serve]
drain-seconds = 0
"""


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project, with a home beside it."""
    folder = tmp_path_factory.mktemp("forest")
    rows, kinds = load_iris(return_X_y=True, as_frame=True)
    labels = np.array(["setosa", "versicolor", "virginica"])[kinds]
    joblib.dump(RandomForestClassifier(30, random_state=0).fit(rows, labels), folder / "model.joblib")
    (folder / "tiffin.toml").write_text(PROJECT.format(more=""))
    return folder


def test_a_converted_forest_answers_as_the_forest_did(forest: Path) -> None:
    home = forest / "home"
    built = tiffin(home, "build", forest)
    assert tiffin(home, "build", forest) == built  # nothing to be done
    explained = tiffin(home, "explain", "forest")
    assert "Converted to ONNX from sklearn-joblib, single precision: 0 of 20,000 labels flipped" in explained
    assert "Latency without HTTP: 1 row" in explained
    assert json.loads(tiffin(home, "inspect", "forest"))["conversion"]["difference"] < 1e-4
    assert "skl2onnx" in tiffin(home, "inspect", "forest", "--show", "provenance")
    assert '"scikit-learn"' not in tiffin(home, "sbom", "forest")
    url = tiffin(home, "run", "-d", "--name", "forest", "-p", "0", "forest")
    try:
        rows, _ = load_iris(return_X_y=True, as_frame=True)
        question = json.dumps(rows.to_dict("records")).encode()
        with urllib.request.urlopen(f"{url}/predict", question, timeout=30) as response:  # noqa: S310 - on this machine
            answer = json.load(response)
    finally:
        tiffin(home, "rm", "-f", "forest")
    model = joblib.load(forest / "model.joblib")
    assert answer["predictions"] == model.predict(rows).tolist()
    assert answer["classes"] == model.classes_.tolist()
    assert np.abs(np.array(answer["probabilities"]) - model.predict_proba(rows)).max() < 1e-5


def test_no_tolerance_refuses_what_is_rounded(forest: Path) -> None:
    (forest / "tiffin.toml").write_text(PROJECT.format(more="tolerance = 0.0"))
    done = run_tiffin(forest / "home", "build", forest, "--tag", "other")
    assert done.returncode != 0
    assert "answers otherwise as ONNX" in done.stderr
    assert "Worst is" in done.stderr
    assert "tolerance = " in done.stderr
    assert "other" not in tiffin(forest / "home", "images")
