"""One conversion: load, convert in single and in double precision, compare, and keep the first that is good enough."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Tuple

from tiffin_convert.compare import Measured, measured
from tiffin_convert.converters import DOUBLE, SINGLE
from tiffin_convert.graph import UnfitError, converted
from tiffin_convert.latency import latencies
from tiffin_convert.rows import read_rows
from tiffin_convert.samples import draw

_TOOLS = (
    "skl2onnx",
    "onnxmltools",
    "onnx",
    "onnxruntime",
    "numpy",
    "scikit-learn",
    "xgboost",
    "xgboost-cpu",
    "lightgbm",
)


def convert(question: Dict[str, Any], folder: Path) -> Tuple[Dict[str, Any], bytes]:
    """Answer a question with a report, or `refused` with the reason, and the ONNX file.

    It has `format`, `model` (a path below `model/`), `samples` (likewise, or empty), `count`, `seed` and `tolerance`.
    """
    from tiffin_serve.worker.loaders import load

    try:
        model = load(question["format"], str(folder / "model" / question["model"]), "")
    except ImportError as error:
        return {"refused": "%s; a model with code of your own has no converter" % error}, b""
    try:
        inputs = _inputs(model, question, folder)
    except (ValueError, UnicodeDecodeError) as error:
        return {"refused": str(error), "about": "samples"}, b""
    found, refused = _candidates(model, inputs, question["tolerance"], folder)
    if not found:
        return {"refused": "; ".join(refused)}, b""
    best = next(
        (one for one in found if one[0].passes(question["tolerance"])), min(found, key=lambda one: one[0].order)
    )
    parity, made, data = best
    report = {
        **parity.report,
        "samples": parity.rows,
        "from_file": bool(question["samples"]),
        **made,
        "inputs": model.signature["inputs"],
        "latency": latencies(model, _served(data, folder), inputs),
        "versions": _versions(),
    }
    return {"report": report}, data


def _inputs(model: Any, question: Dict[str, Any], folder: Path) -> Dict[str, Any]:
    """Read the samples of the project, or draw some."""
    if question["samples"]:
        return read_rows(folder / "model" / question["samples"], model.signature)
    return draw(model, question["count"], question["seed"])


def _candidates(
    model: Any, inputs: Dict[str, Any], tolerance: float, folder: Path
) -> "Tuple[List[Tuple[Measured, Dict[str, Any], bytes]], List[str]]":
    """Convert in each precision, single first, until one is good enough."""
    found: "List[Tuple[Measured, Dict[str, Any], bytes]]" = []
    refused: List[str] = []
    before = model.predict(inputs, (), {})
    for precision in (SINGLE, DOUBLE):
        try:
            data, opset = converted(model, precision)
            after = _served(data, folder).predict(inputs, (), {})
        except UnfitError as error:
            return [], [str(error)]
        except Exception as error:  # noqa: BLE001 - converters raise whatever comes to their mind
            refused.append("%s precision: %s" % (precision, _line(error)))
            continue
        parity = measured(model.signature, inputs, before, after, tolerance)
        found.append((parity, {"precision": precision, "opset": opset}, data))
        if parity.passes(tolerance):
            break
    return found, refused


def _served(data: bytes, folder: Path) -> Any:
    """Load the ONNX file as the image's worker will."""
    from tiffin_serve.worker.loaders import load

    path = folder / "model.onnx"
    path.write_bytes(data)
    return load("onnx", str(path), "")


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _versions() -> Dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _TOOLS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
