"""Placeholders in commands of compiled pipelines (`{{$.inputs.parameters['n']}}`), as words of a graph.

What Kubeflow's launcher does not replace stays as it is here too: a program sees the same on both sides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from tiffin.pipeline.graph import Executor, IfGiven, InputPath, Joined, OutputPath, Value, Word

WORKSPACE = "/kfp-workspace"
"""Where the folder lies that all tasks of a run share, if the pipeline asks for one."""
RUN = (
    "{{$.pipeline_job_name}}",
    "{{$.pipeline_job_resource_name}}",
    "{{$.pipeline_job_uuid}}",
    "{{$.pipeline_job_create_time_utc}}",
    "{{$.pipeline_job_schedule_time_utc}}",
    "{{$.pipeline_task_name}}",
    "{{$.pipeline_task_uuid}}",
)
"""What a constant may be to be something of the run, or of the task, that it is in."""

_ANY = re.compile(r"\{\{\$[^{}]*\}\}")
_NAMED = re.compile(r"\{\{\$\.(inputs|outputs)\.(parameters|artifacts)\[(?:'([^']+)'|\"([^\"]+)\")\](?:\.(\w+))?\}\}")
_STRUCTS = ('{"IfPresent":', '{"Concat":')


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What a component's placeholders can lead to."""

    inputs: frozenset[str]
    outputs: frozenset[str]


Unread = Callable[[str], None]
"""Is told of each placeholder that stays as it is."""


def words_of(text: str, names: Names, unread: Unread) -> tuple[str | Word, ...]:
    """One element of a command or its arguments; raises ValueError for an `IfPresent` or `Concat` that is none."""
    if not text.startswith(_STRUCTS):
        return (_word(text, names, unread),)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{text[:40]}… is no JSON") from error
    return tuple(_struct(found, names, unread))


def _struct(found: Any, names: Names, unread: Unread) -> Iterator[str | Word]:
    if isinstance(found, str):
        yield from words_of(found, names, unread)
    elif isinstance(found, dict) and set(found) == {"Concat"} and isinstance(found["Concat"], list):
        yield Joined(words=tuple(word for part in found["Concat"] for word in _struct(part, names, unread)))
    elif isinstance(found, dict) and set(found) == {"IfPresent"} and isinstance(found["IfPresent"], dict):
        yield from _if_present(found["IfPresent"], names, unread)
    else:
        raise ValueError(f"{json.dumps(found)[:60]} is neither a text nor IfPresent nor Concat")


def _if_present(found: dict[str, Any], names: Names, unread: Unread) -> Iterator[str | Word]:
    name = found.get("InputName")
    if not isinstance(name, str) or "Then" not in found or set(found) - {"InputName", "Then", "Else"}:
        raise ValueError("IfPresent has InputName, Then, and Else if it must be")
    then, otherwise = (
        tuple(word for part in (given if isinstance(given, list) else [given]) for word in _struct(part, names, unread))
        for given in (found["Then"], [] if found.get("Else") is None else found["Else"])
    )
    if name in names.inputs:
        yield IfGiven(input=name, then=then, otherwise=otherwise)
    else:
        yield from otherwise


def _word(text: str, names: Names, unread: Unread) -> str | Word:
    """A text with placeholders anywhere in it."""
    pieces: list[str | Word] = []
    at = 0
    for match in _ANY.finditer(text):
        word = _placeholder(match[0], names)
        if word is None:
            unread(match[0])
            continue
        pieces += [text[at : match.start()], word]
        at = match.end()
    pieces = [piece for piece in (*pieces, text[at:]) if piece != ""]
    return _one(pieces)


def _one(pieces: Sequence[str | Word]) -> str | Word:
    if len(pieces) == 1:
        return pieces[0]
    return Joined(words=tuple(pieces)) if pieces else ""


def _placeholder(text: str, names: Names) -> Word | None:
    """The word of one placeholder; None for one that the launcher does not know."""
    if text == "{{$}}":
        return Executor()
    if text in {"{{$.outputs.output_file}}", "{{$.outputMetadataUri}}"}:
        return Executor(answer=True)
    match = _NAMED.fullmatch(text)
    if match is None:
        return None
    way, kind, name, field = match[1], match[2], match[3] or match[4], match[5]
    if name not in (names.inputs if way == "inputs" else names.outputs):
        return None
    return _FIELDS.get((way, kind, field), lambda _name: None)(name)


_FIELDS: dict[tuple[str, str, str | None], Callable[[str], Word]] = {
    ("inputs", "parameters", None): lambda name: Value(input=name),
    ("inputs", "artifacts", "uri"): lambda name: InputPath(input=name, uri=True),
    ("inputs", "artifacts", "path"): lambda name: InputPath(input=name),
    ("outputs", "artifacts", "uri"): lambda name: OutputPath(output=name, uri=True),
    ("outputs", "artifacts", "path"): lambda name: OutputPath(output=name),
    ("outputs", "parameters", "output_file"): lambda name: OutputPath(output=name),
}
