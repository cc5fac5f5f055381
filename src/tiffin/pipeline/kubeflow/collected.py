"""What a component's program left, taken to where an order leaves its outputs: values typed, artifacts by name.

The program's answer goes before its files, as in the launcher. An artifact may stay unwritten there, and so it may
here: it is an empty file, or for metrics the numbers that were said of it; one that has an address elsewhere is that.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tiffin.pipeline.graph import Port
from tiffin.pipeline.kubeflow.launcher import ANSWER, TOLD, URI, Where, local_path, task_uri
from tiffin.pipeline.kubeflow.placeholders import WORKSPACE
from tiffin.pipeline.meaning.rendering import message
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order

_LONGEST = 16 << 20
_METRICS = "Metrics"
_TRUTHS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`ExecutorOutput`."""

    parameter_values: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    artifacts: dict[str, _Artifacts] = {}


class _Said(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`RuntimeArtifact`."""

    name: str = ""
    type: Any = None
    uri: str = ""
    metadata: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    custom_properties: dict[str, Any] = {}
    custom_path: str = ""


class _Artifacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    artifacts: list[_Said] = []


def collect(order: Order, where: Where, ended: Ended) -> Ended:
    """Take what a program left to `artifacts` and `parameters` of the order's folder, and say how it ended then.

    What the program did wrong is the reason of what is returned; a program that failed leaves nothing.
    """
    if ended.exit_code or ended.reason:
        return ended
    try:
        answer = _answer(order.folder / TOLD / ANSWER)
        for name, port in order.step.outputs.items():
            if port.is_parameter:
                _take_value(order, name, port, answer.parameter_values)
        facts = {
            name: _take_artifact(order, where, name, answer)
            for name, port in order.step.outputs.items()
            if not port.is_parameter
        }
    except (ValueError, OSError) as error:
        return msgspec.structs.replace(ended, reason=str(error))
    for kind in (FILES, VALUES):
        _remove_others(order, kind)
    return msgspec.structs.replace(ended, metadata={name: each for name, each in facts.items() if each})


def _answer(path: Path) -> _Answer:
    """What the program says of its outputs, if it says anything."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return _Answer()
    if not stat.S_ISREG(there.st_mode) or there.st_size > _LONGEST:
        raise ValueError(f"its {ANSWER} is no file of at most {_LONGEST} bytes")
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"its {ANSWER} is no ExecutorOutput: {error}") from error


def _take_value(order: Order, name: str, port: Port, said: dict[str, Any]) -> None:
    """Have a value's file hold it as a step's would: a text as it is, and anything else as JSON."""
    path = order.folder / VALUES / name
    if name in said:
        value = said[name]
        text = value if isinstance(value, str) and port.type == "str" else message(value)
    elif port.type != "str" and path.is_file() and not path.is_symlink() and path.stat().st_size <= _LONGEST:
        text = _canonical(path.read_text(encoding="utf-8"), port.type)
    else:
        return
    if os.path.lexists(path):
        path.unlink()  # the program's user may be another than ours
    path.write_text(text, encoding="utf-8")


def _canonical(text: str, type_: str) -> str:
    """A text that Go would read as a value of a type, as JSON; one that it would not stays, for others to refuse."""
    stripped = text.strip()
    if type_ in {"int", "float"} and ("_" in stripped or not stripped.isascii()):
        return text  # digits to Python alone
    if type_ == "bool":
        return message(_TRUTHS[stripped]) if stripped in _TRUTHS else text
    try:
        return message(float(stripped) if type_ in {"int", "float"} else json.loads(stripped))
    except ValueError:
        return text


def _take_artifact(order: Order, where: Where, name: str, answer: _Answer) -> dict[str, Any]:
    """Have an artifact lie under its name; returns the facts about it."""
    found = answer.artifacts.get(name, _Artifacts()).artifacts
    said = found[0] if found else _Said()
    own = f"{task_uri(order, where)}/{name}"
    path = order.folder / FILES / name
    facts = dict(said.metadata)
    moved = _moved(order, where, said)
    if moved is not None and moved != path:
        if os.path.lexists(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if os.path.lexists(moved):
            shutil.copytree(moved, path, symlinks=True) if moved.is_dir() else shutil.copyfile(moved, path)
    elif said.uri and moved is None and said.uri != own:
        facts[URI] = said.uri
        if not os.path.lexists(path):
            path.write_text(said.uri, encoding="utf-8")
    if not os.path.lexists(path):
        path.write_text(_metrics(facts) if order.step.outputs[name].type == _METRICS else "", encoding="utf-8")
    return facts


def _moved(order: Order, where: Where, said: _Said) -> Path | None:
    """Where the program says that it wrote an artifact, if that is among its outputs or in the workspace.

    Raises ValueError for a place of the container that is gone with it.
    """
    wanted = said.custom_path or local_path(said.uri)
    if not wanted:
        return None
    places = [(local_path(task_uri(order, where)), order.folder / FILES)]
    workspace = where.workspace(order)
    if workspace is not None:
        places.append((WORKSPACE, workspace))
    for target, folder in places:
        if PurePosixPath(wanted).is_relative_to(target) and wanted != target:
            path = folder / PurePosixPath(wanted).relative_to(target)
            if path.parent.resolve().is_relative_to(folder.resolve()) and not path.is_symlink():
                return path
            raise ValueError(f"it wrote an artifact through a link: {wanted}")
    if said.custom_path:
        raise ValueError(f"it wrote an artifact to {said.custom_path}, which is gone with its container")
    return None


def _metrics(facts: dict[str, Any]) -> str:
    """The numbers among the facts about metrics, as the file that metrics are."""
    numbers = {
        name: fact
        for name, fact in facts.items()
        if isinstance(fact, int | float) and not isinstance(fact, bool) and math.isfinite(fact)
    }
    return message(numbers)


def _remove_others(order: Order, kind: str) -> None:
    """Remove what lies beside the outputs: a cluster takes no notice of it."""
    folder = order.folder / kind
    for path in folder.iterdir() if folder.is_dir() else ():
        port = order.step.outputs.get(path.name)
        if port is None or port.is_parameter is not (kind == VALUES):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
