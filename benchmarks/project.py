"""The projects that every builder packs: a model, a module of code that it uses, and pinned packages."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .command import Command

FEATURES = """\
\"\"\"What the model is fed with.\"\"\"

SCALE = {scale}


def scaled(frame):
    return frame * SCALE
"""

TRAIN = """\
import sys

import joblib
from features import scaled
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

def classifier(kind, number):
    if kind == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=100 + number)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500 + number, C=1 + number)

kind, count = sys.argv[1], int(sys.argv[2])
data = load_iris()
for number in range(count):
    steps = FunctionTransformer(scaled), StandardScaler(), classifier(kind, number)
    joblib.dump(make_pipeline(*steps).fit(data.data, data.target), f"trained-{number}.joblib")
"""

ANSWERS = """\
import json
import sys

import joblib
import numpy as np

model, rows = joblib.load("model.joblib"), np.array(json.loads(sys.argv[1]))
print(json.dumps([model.predict(rows).tolist(), model.predict_proba(rows).tolist()]))
"""

TOML = """\
name = "{name}"

[model]
path = "model.joblib"
allow-imports = ["features:scaled"]

[python]
version = "3.11"
dependencies = {dependencies}

[image]
include = ["features.py"]
bytecode = {bytecode}
"""

LOCK = "pylock.tiffin.toml"
PINS = "requirements.txt"
LAID = ["model.joblib", "features.py", PINS]
IGNORED = "*\n!requirements.txt\n!model.joblib\n!features.py\n!server\n"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 2.8, 4.4, 1.4]]
MODELS = 12
"""How many models are trained at the start: retraining takes the next one."""


@dataclass(frozen=True)
class Answers:
    """What a model says to `ROWS`."""

    predictions: list[Any]
    probabilities: list[list[float]]

    def equal(self, answer: dict[str, Any]) -> bool:
        """Whether a service said the same; a server that knows of no probabilities says only predictions."""
        if answer.get("predictions") != self.predictions:
            return False
        pairs = zip(self.probabilities, answer.get("probabilities", self.probabilities), strict=True)
        return all(abs(a - b) < 1e-6 for mine, theirs in pairs for a, b in zip(mine, theirs, strict=True))


@dataclass
class Project:
    """One folder, which tiffin and every Dockerfile read; `python` is the plain environment it was trained in."""

    folder: Path
    python: Path
    dependencies: list[str]
    bytecode: bool = True
    scale: int = 1
    trained: int = 0

    @property
    def name(self) -> str:
        """The image's name."""
        return self.folder.name

    def write(self) -> Project:
        """Write the folder's files but the model and the lock."""
        self.folder.mkdir()
        self._write_settings()
        self._write_code()
        (self.folder / "train.py").write_text(TRAIN)
        (self.folder / "answers.py").write_text(ANSWERS)
        (self.folder / ".dockerignore").write_text(IGNORED)
        return self

    def _write_settings(self) -> None:
        settings = {"name": self.name, "dependencies": json.dumps(self.dependencies)}
        (self.folder / "tiffin.toml").write_text(TOML.format(**settings, bytecode=str(self.bytecode).lower()))

    def _write_code(self) -> None:
        (self.folder / "features.py").write_text(FEATURES.format(scale=float(self.scale)))

    def train(self, kind: str) -> None:
        """Train every model there will be, and take the first."""
        self._python("train.py", kind, str(MODELS)).run()
        self.use(0)

    def use(self, number: int) -> None:
        """Take a trained model."""
        self.trained = number
        shutil.copyfile(self.folder / f"trained-{number % MODELS}.joblib", self.folder / "model.joblib")

    def retrain(self) -> None:
        """Put a newly trained model in place."""
        self.use(self.trained + 1)

    def edit(self) -> None:
        """Change one line of the code that the model calls."""
        self.scale += 1
        self._write_code()

    def answers(self) -> Answers:
        """Ask the model in the plain environment."""
        return Answers(*json.loads(self._python("answers.py", json.dumps(ROWS)).run()))

    def load(self) -> Command:
        """Import what the model needs and load it, with no container and no server."""
        return self._python("-c", "import joblib; joblib.load('model.joblib'); print('loaded', flush=True)")

    def differs(self, context: Path) -> bool:
        """Whether a folder that was laid out has other contents than the project has now."""
        return any(self._stale(context, name) for name in LAID)

    def lay(self, context: Path) -> Path:
        """Copy what an image is made of, where it has changed, into a folder of a peer's own; returns it."""
        context.mkdir(parents=True, exist_ok=True)
        for name in LAID:
            if self._stale(context, name):
                shutil.copyfile(self.folder / name, context / name)
        return context

    def _stale(self, context: Path, name: str) -> bool:
        there = context / name
        return not there.exists() or there.read_bytes() != (self.folder / name).read_bytes()

    def copy(self, name: str) -> Project:
        """Make another project of the same lock beside this one, with a model and code of its own."""
        other = replace(self, folder=self.folder.with_name(name))
        shutil.copytree(self.folder, other.folder)
        other.take(self)
        other.edit()
        other.retrain()
        return other

    def take(self, other: Project) -> None:
        """Depend on what another project depends on, as its lock has it."""
        self.dependencies = other.dependencies
        self._write_settings()
        for name in (LOCK, PINS):
            (self.folder / name).write_bytes((other.folder / name).read_bytes())

    def pin(self) -> list[Wheel]:
        """Write requirements.txt, for pip and uv, from tiffin's lock; returns the wheels it names."""
        lock = tomllib.loads((self.folder / LOCK).read_text())
        wheels = [_wheel(package) for package in lock["packages"]]
        (self.folder / PINS).write_text("".join(f"{wheel.pin}\n" for wheel in wheels))
        return wheels

    def _python(self, *arguments: str) -> Command:
        return Command([str(self.python), *arguments], {**os.environ, "PYTHONPATH": str(self.folder)}, self.folder)


@dataclass(frozen=True)
class Wheel:
    """A wheel of the lock."""

    pin: str
    filename: str
    sha256: str


def _wheel(package: dict[str, Any]) -> Wheel:
    wheel = package["wheels"][0]
    return Wheel(f"{package['name']}=={package['version']}", wheel["path"], wheel["hashes"]["sha256"])
