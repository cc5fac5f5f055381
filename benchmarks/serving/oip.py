"""Questions and answers of the Open Inference Protocol, which several servers speak, and of plain JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.traffic.address import Question

from .cases import IMAGE, Case
from .samples import Samples

MODEL = "flowers"
PATH = f"/v2/models/{MODEL}/infer"


def ask(case: Case, samples: Samples) -> Question:
    """Ask for the labels, or the scores; with an id, so that answers are alike to the byte."""
    datatype = "FP32" if case.model == IMAGE or "ONNX" in case.model else "FP64"
    tensor: dict[str, Any] = {"name": "input", "shape": samples.shape(case), "datatype": datatype}
    request = {"id": "1", "inputs": [tensor], "outputs": [{"name": "predict"}]}
    if not case.binary:
        tensor["data"] = samples.flat(case)
        return Question(path=PATH, body=msgspec.json.encode(request))
    tensor["parameters"] = {"binary_data_size": len(samples.pixels)}
    head = msgspec.json.encode(request)
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return Question(path=PATH, headers=headers, body=head + samples.pixels)


def read(body: bytes) -> list[float]:
    """Give the output's numbers."""
    return flat(msgspec.json.decode(body)["outputs"][0]["data"])


def flat(values: Any) -> list[float]:
    """Take lists out of lists."""
    if isinstance(values, list):
        return [number for value in values for number in flat(value)]
    return [float(values)]
