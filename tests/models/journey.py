"""One example's way from training to an answer out of a container, by the commands a person would type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from tiffin.packages.lock import FILENAME

EXAMPLES = Path(__file__).parents[2] / "examples"
Tensor = tuple[str, str, list[int]]
"""Name, datatype and shape, as a server announces them."""


def travel(example: str, folder: Path, home: Path) -> Journey:
    """Train, init, lock, build, run, predict; the container must answer as the training process did."""
    project = folder / example
    shutil.copytree(EXAMPLES / example, project, ignore=shutil.ignore_patterns("model*", "*.json", "__pycache__"))
    journey = Journey(project, home)
    journey.run(sys.executable, "train.py")
    if not (project / "tiffin.toml").exists():
        journey.tiffin("init", ".")
    image = journey.tiffin("build", ".")
    name = f"journey-{example}"
    url = journey.tiffin("run", image, "-d", "--name", name, "-p", "0")
    try:
        journey.metadata = json.loads(read(f"{url}/v2/models/{example}"))
        answer = json.loads(journey.tiffin("predict", name, (project / "request.json").read_text()))
    except AssertionError as error:
        error.add_note(journey.tiffin("logs", name))
        raise
    finally:
        journey.tiffin("stop", name)
        journey.tiffin("rm", name)
    compare(answer, json.loads((project / "expected.json").read_text()))
    return journey


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


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - the container's own
        body: bytes = response.read()
    return body


class Journey:
    """Commands in a project's folder, and what came of them."""

    metadata: dict[str, Any]
    """What the server says of the model."""

    def __init__(self, project: Path, home: Path) -> None:
        self._project = project
        self._environment = {**os.environ, "TIFFIN_HOME": str(home)}

    @property
    def inputs(self) -> list[Tensor]:
        return [tensor(spec) for spec in self.metadata["inputs"]]

    @property
    def outputs(self) -> list[Tensor]:
        return [tensor(spec) for spec in self.metadata["outputs"]]

    def packages(self, *words: str) -> list[str]:
        """The wheels of the image with one of these words in their names."""
        lock = tomllib.loads((self._project / FILENAME).read_text())
        names = [package["name"] for package in lock["packages"]]
        return [name for name in names if any(word in name for word in words)]

    def tiffin(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "tiffin", *arguments)

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            argv, cwd=self._project, env=self._environment, check=False, capture_output=True, text=True
        )
        assert not done.returncode, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()


def tensor(spec: dict[str, Any]) -> Tensor:
    return spec["name"], spec["datatype"], spec["shape"]
