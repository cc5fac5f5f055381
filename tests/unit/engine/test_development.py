"""The server without a container: as a user starts it, edits a file, breaks it and mends it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from programs.waiting import until
from tiffin.engine.development import changed, listen, snapshot
from tiffin.errors import ConflictError

SOURCE = """
class Predictor:
    inputs = {"x": ("FP64", [-1, 2])}
    def predict(self, inputs):
        return [sum(row) * FACTOR for row in inputs["x"]]
"""
DEADLINE = 30


def test_files_that_are_new_gone_or_different_have_changed(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abcd"]
    for path in paths[:3]:
        path.write_text("x")
    before = snapshot(paths)
    paths[1].write_text("longer")
    paths[2].unlink()
    paths[3].write_text("x")
    assert changed(before, snapshot(paths)) == paths[1:]


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as bound, pytest.raises(ConflictError, match="cannot listen"):
        listen("127.0.0.1", bound.getsockname()[1])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Serve a folder as a user does; what the command says."""
    log = tmp_path / "log"
    (tmp_path / "own.py").write_text(SOURCE.replace("FACTOR", "1"))
    (tmp_path / "tiffin.toml").write_text('name = "dev"\n\n[model]\npredictor = "own:Predictor"\n')
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "tiffin", "serve", str(tmp_path), "-p", "0"]
        process = subprocess.Popen(command, stderr=stderr, env={**os.environ, "PYTHONPATH": "src"})
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()


def answer(log: Path) -> bytes:
    found = re.search(r"http://127.0.0.1:(\d+)", log.read_text())
    if found is None:
        return b""
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=DEADLINE)
    try:
        connection.request("POST", "/predict", b"[[1,2]]")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_model_that_an_image_would_have_converted_is_said_to_be_served_as_it_is(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "model.joblib")
    (tmp_path / "tiffin.toml").write_text('name = "dev"\n\n[model]\npath = "model.joblib"\nconvert = "onnx"\n')
    command = [sys.executable, "-m", "tiffin", "serve", str(tmp_path), "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"}) as process:
        assert process.stderr
        said = [process.stderr.readline().decode() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
    assert said[0].startswith("http://127.0.0.1:"), said
    assert said[1] == "serving the model as it was trained: `tiffin build` is what converts it to onnx\n"


def test_edits_are_served_and_mistakes_wait_for_the_next_edit(log: Path) -> None:
    code = log.with_name("own.py")
    until(lambda: answer(log) == b'{"predictions":[3.0]}', lambda: "the first answer")
    code.write_text(SOURCE.replace("FACTOR", "nonsense("))
    until(lambda: "the server has ended" in log.read_text(), lambda: "the mistake is said")
    code.write_text(SOURCE.replace("FACTOR", "100"))
    until(lambda: answer(log) == b'{"predictions":[300.0]}', lambda: "the mended answer")
