"""One example's way from training to an answer out of a container, by the commands a person would type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"


def travel(example: str, folder: Path, home: Path) -> None:
    """Train, init, lock, build, run, predict; the container must answer as the training process did."""
    project = folder / example
    shutil.copytree(EXAMPLES / example, project, ignore=shutil.ignore_patterns("model*", "__pycache__"))
    journey = Journey(project, home)
    journey.run(sys.executable, "train.py")
    if not (project / "tiffin.toml").exists():
        journey.tiffin("init", ".")
    image = journey.tiffin("build", ".")
    name = f"journey-{example}"
    journey.tiffin("run", image, "-d", "--name", name, "-p", "0")
    try:
        answer = json.loads(journey.tiffin("predict", name, (project / "request.json").read_text()))
    except AssertionError as error:
        error.add_note(journey.tiffin("logs", name))
        raise
    finally:
        journey.tiffin("stop", name)
        journey.tiffin("rm", name)
    compare(answer, json.loads((project / "expected.json").read_text()))


def compare(answer: Any, expected: Any) -> None:
    """Compare what the container answered with what the training process wrote down."""
    assert expected
    if isinstance(expected, dict):
        for key, value in expected.items():
            compare(answer[key], value)
    elif np.asarray(expected).dtype.kind == "f":
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
    else:
        assert answer == expected


class Journey:
    """Commands in a project's folder."""

    def __init__(self, project: Path, home: Path) -> None:
        self._project = project
        self._environment = {**os.environ, "TIFFIN_HOME": str(home)}

    def tiffin(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "tiffin", *arguments)

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            argv, cwd=self._project, env=self._environment, check=False, capture_output=True, text=True
        )
        assert not done.returncode, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()
