"""Converting a model at build: what decides the file that comes of it, what was measured, and whether that will do."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tiffin.build.recipes import SourceFile
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.models.model import Model
from tiffin.oci.artifact import attach, attached
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, decode, encode
from tiffin.oci.store import Referrers
from tiffin.packages.pins import WheelPin

FORMATS = ("sklearn-joblib", "sklearn-pickle", "skops", "xgboost", "lightgbm")
ONNX = "onnx"
SAMPLES = 20_000
"""Rows that are compared where the project names no samples."""
SEED = 20_000
REPORT = "application/vnd.tiffin.conversion.v1+json"
"""The media type of a report that is kept beside an image."""
_WIDEST = 300
"""Characters of a row that an error shows."""

_OTHERWISE = {
    "onnx": ("it is ONNX already", "remove `convert`"),
    "mlflow": ("it is a folder around a model", "let `[model] path` name the model's own file in that folder"),
    "torch-script": ("PyTorch exports itself", "`torch.onnx.export` writes the file; name that as `[model] path`"),
}
"""Why other formats are not converted, and what to do instead."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides a converted model: the same conversion gives the same file.

    `environment` stands for the interpreter and what lies below it, `program` for the code that converts.
    """

    format: str
    model: tuple[SourceFile, ...]
    tools: tuple[WheelPin, ...]
    environment: Digest
    program: Digest
    tolerance: float
    samples: SourceFile | None = None

    @property
    def key(self) -> Digest:
        """The digest under which what came of it is remembered."""
        return Digest.of(encode(["conversion", SAMPLES, SEED, self]))


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The median time of one batch in microseconds, without HTTP."""

    before: float
    after: float


class Worst(msgspec.Struct, frozen=True, kw_only=True):
    """The row whose answers are furthest apart, by names of tensors."""

    row: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a converted model compares with the model itself.

    `ties` of the `flipped` labels are rows whose two greatest probabilities are within the tolerance of each other.
    `difference` is the largest of probabilities, or of values as a part of their range where it is `relative`.
    `latency` is by rows in a batch. `from_file` says that the samples are the project's own.
    """

    samples: int
    from_file: bool
    flipped: int
    ties: int
    difference: float
    relative: bool
    precision: str
    opset: int
    inputs: list[dict[str, Any]]
    latency: dict[str, Latency]
    versions: dict[str, str]
    worst: Worst
    format: str = ""
    tolerance: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether the difference is within the tolerance, and the share of flips that are no ties too."""
        return self.difference <= self.tolerance and self.flipped - self.ties <= self.tolerance * self.samples


class Answer(msgspec.Struct, frozen=True):
    """What the program says: its report, or why there is none; `about` is the key of tiffin.toml that is to blame."""

    report: Report | None = None
    refused: str = ""
    about: str = "convert"


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a conversion."""

    file: SourceFile
    report: Report


def check_format(model: Model, name: str) -> None:
    """Raise ConfigError for a model that no converter takes."""
    if model.format not in FORMATS:
        known = "scikit-learn, XGBoost and LightGBM are converted; leave `convert` out"
        why, hint = _OTHERWISE.get(model.format, (f"its format is {model.format}", known))
        raise ConfigError(f"{name} is not converted to ONNX: {why} - at `$.model.convert`", hint)


def judge(report: Report, name: str) -> None:
    """Raise UnsupportedError where the converted model answers otherwise than its tolerance allows."""
    if report.passes:
        return
    raise UnsupportedError(
        f"{name} answers otherwise as ONNX: {said(report)}; the tolerance is {report.tolerance:g}."
        f" Worst is {_shown(report.worst.row)}: {_shown(report.worst.before)} became {_shown(report.worst.after)}",
        f"{_enough(report)}leave `convert` out of [model]; or name rows as they are really sent in `samples`",
    )


def said(report: Report) -> str:
    """Say what was measured of the answers, in a line."""
    ties = f" ({report.ties} at ties)" if report.ties else ""
    flips = "" if report.relative else f"{report.flipped} of {report.samples:,} labels flipped{ties}, "
    part = " of the values' range" if report.relative else ""
    rows = f" on {report.samples:,} rows" if report.relative else ""
    return f"{flips}largest difference {report.difference:.1e}{part}{rows}"


def timed(report: Report) -> str:
    """Say how long a batch takes before and after, in a line."""
    parts = [
        f"{rows} row{'' if rows == '1' else 's'} {_time(one.before)} -> {_time(one.after)} ({_factor(one)})"
        for rows, one in report.latency.items()
    ]
    return ", ".join(parts)


def attach_report(store: Referrers, image: Descriptor, report: Report) -> None:
    """Keep a report beside its image, unless the image has one: it was measured when the image was first made."""
    if not attached(store, image, REPORT, {}):
        attach(store, image, REPORT, encode(report), {})


def report_of(store: Referrers, image: Descriptor) -> Report | None:
    """Return the report that the store has beside an image."""
    found = attached(store, image, REPORT, {})
    return decode(Report, found[0], "the report of the conversion") if found else None


def _enough(report: Report) -> str:
    """Name the tolerance that would do, where one below a hundredth does."""
    share = (report.flipped - report.ties) / report.samples
    need = max(report.difference, share)
    if not 0 < need <= 0.01:  # noqa: PLR2004 - beyond a hundredth it is another model
        return ""
    size = 10.0 ** math.floor(math.log10(need))
    return f"`tolerance = {math.ceil(need / size) * size:.0e}` would take it, if that is good enough; or "


def _shown(values: dict[str, Any]) -> str:
    text = encode(values).decode()
    return text if len(text) <= _WIDEST else text[:_WIDEST] + "…"


def _time(microseconds: float) -> str:
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"  # noqa: PLR2004


def _factor(one: Latency) -> str:
    times = one.before / max(one.after, 0.1)
    return f"{times:.0f} times faster" if times >= 1.5 else f"{1 / max(times, 1e-9):.1f} times the time"  # noqa: PLR2004
