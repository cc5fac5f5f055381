"""Tiffin's own server: a front and a worker, as in an image, out of this source tree."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.serving import oip
from benchmarks.serving.cases import IMAGE_BINARY, NOOP, ROW, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer

NAME = "tiffin"
SOURCE = Path(__file__).parents[3] / "src"
REQUIREMENTS = (*MODEL_PACKAGES, "httptools", "msgspec", "uvloop")
FORMATS = {".joblib": "sklearn-joblib", ".onnx": "onnx", "": "python"}
SUM = """\
class Sum:
    inputs = {"input": ("FP64", [-1, 4])}
    outputs = {"predict": ("FP64", [-1])}

    def predict(self, inputs):
        return inputs["input"].sum(axis=1)
"""


def launch(job: Job) -> Launch:
    """Both parts, on a port of 127.0.0.1; what it does when it ends is as in an image."""
    format_ = FORMATS[job.file.suffix]
    model = {"format": format_, "path": str(job.file) if job.file.suffix else ""}
    if job.model == NOOP:
        model["predictor"] = "sums:Sum"
    document = {
        "schema": 1,
        "name": oip.MODEL,
        "model": model,
        "code": str(job.folder),
        "worker": [job.python, "-m", "tiffin_serve.worker"],
    }
    ports = {"TIFFIN_HTTP_PORT": str(job.port), "TIFFIN_METRICS_PORT": str(job.spare[0])}
    return Launch(
        argv=[job.python, "-m", "tiffin_serve.front", "all", "--service", str(job.folder / "service.json")],
        files={"service.json": json.dumps(document), "sums.py": SUM},
        environment={**ports, "PYTHONPATH": str(SOURCE)},
    )


PEERS = [
    Peer(
        name=NAME,
        setting="",
        settings="as in an image, 1 worker; it batches whatever waits",
        requirements=REQUIREMENTS,
        launch=launch,
        ask=oip.ask,
        read=oip.read,
        cases=tuple(dict.fromkeys([*TABLES, *ROW.values(), IMAGE_BINARY])),
        fast=True,
    )
]
