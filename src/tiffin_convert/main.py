"""One conversion: load, convert in single and in double precision, compare, and keep the first that is good enough."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

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


class _Refused(Exception):  # noqa: N818 - an answer, and no mistake of the program's
    """This model, or the rows in `samples`, cannot be had; `about` is the key that is to blame."""

    def __init__(self, why: str, about: str = "convert") -> None:
        super().__init__(why)
        self.about = about


def convert(question: Dict[str, Any], folder: Path) -> Tuple[Dict[str, Any], bytes]:
    """Answer a question with a report, or `refused` with the reason, and the ONNX file.

    It has `format`, `model` (a path below `model/`), `samples` (likewise, or empty), `count`, `seed` and `tolerance`.
    """
    try:
        model = _loaded(question, folder)
        graphs, refused = _graphs(model)
        inputs, before = _answers(model, question, folder)
        tried = []
        for precision, after in _candidates(graphs, refused, folder, inputs):
            tried.append((measured(model.signature, inputs, before, after, question["tolerance"]), precision))
            if tried[-1][0].passes(question["tolerance"]):
                break
    except _Refused as why:
        return {"refused": str(why), "about": why.about}, b""
    parity, precision = tried[-1] if tried[-1][0].passes(question["tolerance"]) else min(tried, key=_order)
    data, opset = graphs[precision]
    report = {
        **parity.report,
        "samples": parity.rows,
        "from_file": bool(question["samples"]),
        "precision": precision,
        "opset": opset,
        "inputs": model.signature["inputs"],
        "latency": latencies(model, _served(data, folder), inputs),
        "versions": _versions(),
    }
    return {"report": report}, data


def _order(one: "Tuple[Measured, str]") -> "Tuple[int, float]":
    return one[0].order


def _loaded(question: Dict[str, Any], folder: Path) -> Any:
    from tiffin_serve.worker.loaders import load

    try:
        return load(question["format"], str(folder / "model" / question["model"]), "")
    except ImportError as error:
        raise _Refused("%s; a model with code of your own has no converter" % error) from error


def _graphs(model: Any) -> "Tuple[Dict[str, Tuple[bytes, int]], Dict[str, str]]":
    """Convert in each precision, single first; gives files with their operator sets, and why others are missing."""
    made: "Dict[str, Tuple[bytes, int]]" = {}
    refused: Dict[str, str] = {}
    for precision in (SINGLE, DOUBLE):
        try:
            made[precision] = converted(model, precision)
        except UnfitError as error:
            raise _Refused(str(error)) from error
        except Exception as error:  # noqa: BLE001 - converters raise whatever comes to their mind
            refused[precision] = _line(error)
    if not made:
        raise _Refused(_together(refused))
    return made, refused


def _answers(model: Any, question: Dict[str, Any], folder: Path) -> "Tuple[Dict[str, Any], Dict[str, Any]]":
    """The rows to compare with, and what the model itself makes of them."""
    try:
        inputs = _inputs(model, question, folder)
        return inputs, model.predict(inputs, (), {})
    except Exception as error:
        raise _Refused("the rows to compare with: " + _line(error), "samples") from error


def _candidates(
    graphs: "Dict[str, Tuple[bytes, int]]", refused: "Dict[str, str]", folder: Path, inputs: "Dict[str, Any]"
) -> "Iterator[Tuple[str, Dict[str, Any]]]":
    """What each graph that onnxruntime takes makes of the rows; the next is asked when the last would not do."""
    ran = False
    for precision, (data, _) in graphs.items():
        try:
            answer = _served(data, folder).predict(inputs, (), {})
        except Exception as error:  # noqa: BLE001 - a converter may write what onnxruntime does not take
            refused[precision] = _line(error)
            continue
        ran = True
        yield precision, answer
    if not ran:
        raise _Refused(_together(refused))


def _together(refused: Dict[str, str]) -> str:
    """Say why there is nothing in either precision; once, where that is the same."""
    if len(set(refused.values())) == 1:
        return next(iter(refused.values()))
    return "; ".join("%s precision: %s" % pair for pair in refused.items())


def _inputs(model: Any, question: Dict[str, Any], folder: Path) -> Dict[str, Any]:
    """Read the samples of the project, or draw some."""
    if question["samples"]:
        return read_rows(folder / "model" / question["samples"], model.signature)
    return draw(model, question["count"], question["seed"])


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
