"""From a trained model to a prediction out of a container, by the commands a person would type.

Trains a scikit-learn pipeline, packs it, runs the image as a container, asks it over HTTP, compares every answer with
the model in this process, stops it, and prints what each phase did and how long it took.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_iris

EXAMPLE = Path(__file__).parent / "iris"
TIFFIN = [sys.executable, "-m", "tiffin"]


def main() -> None:
    phases: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="tiffin-demo-") as scratch, timed(phases, "all"):
        folder = Path(scratch) / "iris"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("model.joblib", "__pycache__"))
        image = pack(folder, phases)
        rows = ask(folder, image, phases)
    print(f"\n{image}\n{rows} predictions and their probabilities equal those of the training process\n")
    for name, seconds in phases:
        print(f"{name:<12} {seconds:7.2f} s")


def pack(folder: Path, phases: list[tuple[str, float]]) -> str:
    """Train the model and build its image, twice: the second time there is nothing to do."""
    with timed(phases, "train"):
        run(sys.executable, "train.py", cwd=folder)
    with timed(phases, "init"):
        tiffin("init", ".", cwd=folder)
    with timed(phases, "lock"):
        tiffin("lock", ".", cwd=folder)
    with timed(phases, "build"):
        image = tiffin("build", ".", cwd=folder)
    with timed(phases, "build again"):
        assert tiffin("build", ".", cwd=folder) == image, "the same input gave another image"
    return image


def ask(folder: Path, image: str, phases: list[tuple[str, float]]) -> int:
    """Run the image, compare its answers, stop it; returns how many rows were compared."""
    name = f"iris-demo-{time.time_ns():x}"
    with timed(phases, "run"):
        url = tiffin("run", image, "-d", "--name", name, "-p", "0", cwd=folder)
    try:
        with timed(phases, "predict"):
            return compare(url, joblib.load(folder / "model.joblib"))
    finally:
        with timed(phases, "stop"):
            tiffin("stop", name, cwd=folder)
            tiffin("rm", name, cwd=folder)


def compare(url: str, model: object) -> int:
    """Ask for every row of the data by column name, and compare class and probabilities."""
    frame = load_iris(as_frame=True).data
    answer = post(f"{url}/predict", frame.to_dict(orient="records"))
    assert answer["predictions"] == model.predict(frame).tolist(), "the container predicts otherwise"
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(frame), rtol=1e-9)
    return len(frame)


def post(url: str, body: object) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - the URL is the container's own
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - the URL is the container's own
        return json.load(response)


def tiffin(*arguments: str, cwd: Path) -> str:
    print("$ tiffin", *arguments, flush=True)
    return run(*TIFFIN, *arguments, cwd=cwd)


def run(*argv: str, cwd: Path) -> str:
    done = subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    return done.stdout.strip()


@contextmanager
def timed(phases: list[tuple[str, float]], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    phases.append((name, time.perf_counter() - began))


if __name__ == "__main__":
    main()
