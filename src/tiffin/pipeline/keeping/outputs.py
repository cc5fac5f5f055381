"""What a step left in its folder, judged: each output there and of its type, and nothing beside them."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from tiffin.errors import CommandError, ConflictError, DeniedError, TiffinError
from tiffin.pipeline.graph import Port, Step
from tiffin.pipeline.keeping.folders import Seen, Write, look, pour
from tiffin.pipeline.meaning.values import given
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order

PARAMETER_LIMIT = 1 << 20
"""Bytes that the text of one value may have; what is more is a file."""
METRICS_LIMIT = 4 << 20
METRICS = "Metrics"
_IN_CONTAINER = "/out"


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that a step left: what it is called, its type, what was seen of it, and facts about it."""

    name: str
    type: str
    seen: Seen
    metadata: dict[str, Any] = {}


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a step gave."""

    values: dict[str, Any]
    artifacts: tuple[Left, ...]


def outputs_of(order: Order, ended: Ended) -> Outputs:
    """Read what an order has left in its folder.

    Raises CommandError for an output that is missing or not of its type, and for what is beside the outputs.
    """
    ports = order.step.outputs
    values = {name: port for name, port in ports.items() if port.is_parameter}
    files = {name: port for name, port in ports.items() if not port.is_parameter}
    _refuse_others(order, FILES, files)
    _refuse_others(order, VALUES, values)
    read = {name: _value(order, name, port) for name, port in values.items() if _is_given(order, VALUES, name, port)}
    left = [
        _artifact(order, name, port, ended.metadata.get(name, {}))
        for name, port in files.items()
        if _is_given(order, FILES, name, port)
    ]
    return Outputs(values=read, artifacts=tuple(left))


def pour_output(step: Step, left: Left, write: Write) -> None:
    """Write a file's bytes, or a folder's tar; raises CommandError where it cannot be read, or still changes."""
    try:
        pour(left.seen, write)
    except (ConflictError, DeniedError) as error:
        raise _refused(step, f"gave an output {left.name} that cannot be kept: {error.message}", error.hint) from error


def _is_given(order: Order, kind: str, name: str, port: Port) -> bool:
    """Say whether an output is there; one that has to be and is not is an error."""
    there = os.path.lexists(order.folder / kind / name)
    if not there and not port.optional:
        what = "gave no value for" if kind == VALUES else "wrote nothing to"
        raise _refused(order.step, f"{what} its output {name}", f"{_how(port)} {_IN_CONTAINER}/{kind}/{name}")
    return there


def _how(port: Port) -> str:
    return "return it, or write its text to" if port.is_parameter else "write a file, or make a folder, at its path:"


def _refuse_others(order: Order, kind: str, ports: dict[str, Port]) -> None:
    folder = order.folder / kind
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):  # what a link leads to is not the step's
        raise _refused(
            order.step, f"put something else in the place of {_IN_CONTAINER}/{kind}", "leave that folder there"
        )
    others = sorted({path.name for path in folder.iterdir()} - ports.keys()) if folder.is_dir() else []
    if others:
        there = ", ".join(f"{_IN_CONTAINER}/{kind}/{name}" for name in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""  # noqa: PLR2004 - as many as are named
        declared = ", ".join(ports) or "none"
        hint = f"declare an output for each (`name: Output[…]`), or write to /tmp; outputs it has here: {declared}"
        raise _refused(order.step, f"wrote outside its outputs: {there}{more}", hint)


def _artifact(order: Order, name: str, port: Port, metadata: dict[str, Any]) -> Left:
    path = order.folder / FILES / name
    if path.is_symlink():
        raise _refused(
            order.step, f"made a link of its output {name}, to {path.readlink()}", "write the file itself there"
        )
    try:
        seen = look(path)
    except TiffinError as error:
        raise _refused(order.step, f"gave an output {name} that cannot be kept: {error.message}", error.hint) from error
    if port.type == METRICS:
        _check_metrics(order.step, name, seen)
    try:
        json.dumps(metadata, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise _refused(
            order.step,
            f"said of its output {name} what JSON cannot: {error}",
            "let metadata be texts and finite numbers",
        ) from error
    return Left(name=name, type=port.type, seen=seen, metadata=metadata)


def _check_metrics(step: Step, name: str, seen: Seen) -> None:
    """Refuse metrics that are no table of finite numbers: no gate could compare them."""
    hint = (
        'metrics are a JSON object of finite numbers, such as {"accuracy": 0.97}; `metrics.log(NAME, NUMBER)` writes it'
    )
    if seen.folder:
        raise _refused(step, f"made a folder of its metrics {name}", hint)
    if seen.size > METRICS_LIMIT:
        raise _refused(step, f"wrote {seen.size} bytes of metrics to {name}; at most {METRICS_LIMIT} are read", hint)
    try:
        table = json.loads(seen.root.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _refused(step, f"wrote metrics to {name} that are no JSON: {error}", hint) from error
    if not isinstance(table, dict):
        raise _refused(step, f"wrote metrics to {name} that are no JSON object", hint)
    for metric, number in table.items():
        if type(number) not in {int, float}:
            raise _refused(step, f"wrote metrics to {name} of which {metric} is no number: {_shown(number)}", hint)
        if not math.isfinite(number):
            raise _refused(step, f"wrote metrics to {name} of which {metric} is {_shown(number)}", hint)


def _value(order: Order, name: str, port: Port) -> Any:
    text = _text(order.step, name, order.folder / VALUES / name)
    return given(text, port.type, _said(order.step, f"gave a value for its output {name} that"))


def _text(step: Step, name: str, path: Path) -> str:
    try:
        there = path.lstat()
        if not stat.S_ISREG(there.st_mode):
            raise _refused(
                step, f"made something else than a file of its output {name}", f"write its text to {path.name}"
            )
        if there.st_size > PARAMETER_LIMIT:
            raise _refused(
                step,
                f"gave {there.st_size} bytes for its output {name}; a value has at most {PARAMETER_LIMIT}",
                f"make it an artifact: `{name}: Output[Artifact]`",
            )
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise _refused(step, f"gave bytes that are no UTF-8 for its output {name}", "write text") from error
    except PermissionError as error:
        raise _refused(step, f"gave an output {name} that cannot be read", "let its file be readable") from error


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 - what a line of a terminal takes


def _refused(step: Step, what: str, hint: str | None) -> CommandError:
    return CommandError(_said(step, what), hint)


def _said(step: Step, what: str) -> str:
    where = f"{step.place}: " if step.place.file else ""
    return f"{where}step {step.name} {what}"
