"""The iris example, built by the command line, and what its service has to answer."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_iris

from .process import run
from .service import predict

EXAMPLE = Path(__file__).parents[2] / "examples" / "iris"


@dataclass(frozen=True)
class Iris:
    """The built image: its name and digest, the layout it lies in, its project's folder and the model itself."""

    name: str
    digest: str
    layout: Path
    folder: Path
    model: Any

    @property
    def source(self) -> str:
        """What skopeo calls it."""
        return f"oci:{self.layout}:{self.name}"

    def check_answers(self, address: str) -> None:
        """Ask a service for every row of the data, and compare class and probabilities with the model's own."""
        frame = load_iris(as_frame=True).data
        answer = predict(address, frame.to_dict(orient="records"))
        assert answer["predictions"] == self.model.predict(frame).tolist()
        np.testing.assert_allclose(answer["probabilities"], self.model.predict_proba(frame), rtol=1e-9)


def build_iris(home: Path, folder: Path) -> Iris:
    """Copy the example to `folder`, train it and build it into the TIFFIN_HOME `home`."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("model.joblib", "__pycache__"))
    environment = {**os.environ, "TIFFIN_HOME": str(home), "TIFFIN_PROGRESS": "plain"}
    run(sys.executable, str(folder / "train.py"))
    run(sys.executable, "-m", "tiffin", "init", str(folder), env=environment)
    built = run(sys.executable, "-m", "tiffin", "build", "--tag", "foreign", str(folder), env=environment)
    name, _, digest = built.partition("@")
    return Iris(f"{name}:latest", digest, home / "data", folder, joblib.load(folder / "model.joblib"))
