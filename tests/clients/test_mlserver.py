"""MLServer's command line sends a file of requests to Tiffin as it would to MLServer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from unit.tiffin_serve.fronts import ROWS, Server

pytestmark = pytest.mark.clients


def infer(mlserver: str, server: Server, folder: Path, requests: list[dict[str, Any]], *more: str) -> list[Any]:
    """Run `mlserver infer` on a file with a request a line; returns the answers in the order of its output."""
    (folder / "input.txt").write_text("".join(json.dumps(request) + "\n" for request in requests))
    command = [mlserver, "infer", "-u", f"127.0.0.1:{server.port}", "-m", "iris", "-w", "2", *more]
    done = subprocess.run(
        [*command, "-i", "input.txt", "-o", "output.txt"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / "output.txt").read_text().splitlines()]


@pytest.mark.parametrize("options", [[], ["--batch-size", "3"], ["--binary-data"]], ids=["single", "batches", "binary"])
def test_a_file_of_requests_is_answered(mlserver: str, iris: Server, tmp_path: Path, options: list[str]) -> None:
    tensors = [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": row} for row in ROWS]
    answers = infer(mlserver, iris, tmp_path, [{"inputs": [tensor]} for tensor in tensors], *options)
    labels = sorted(answer["outputs"][0]["data"][0] for answer in answers)
    assert labels == ["setosa", "versicolor", "virginica"], answers
