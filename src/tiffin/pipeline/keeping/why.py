"""Why a step is done again: which parts of its key are others than they were, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from tiffin.pipeline.graph import Argument, Constant, Output, Source, Task
from tiffin.pipeline.meaning.sources import named

_WIDE = 60
_ABSENT = object()
Origins = Mapping[str, str]
"""Of each input, where it comes from: `which split gave`."""


def changes(before: bytes, now: bytes, origins: Origins | None = None) -> list[str]:
    """Compare two documents of keys (see `key`); where there is room for one change, it is the first.

    Documents of another format than ours, which may have other parts, differ by that alone.
    """
    old, new = json.loads(before), json.loads(now)
    if old.get("format") != new.get("format"):
        return [f"how keys are made: {_arrow(_json(old.get('format')), _json(new.get('format')))}"]
    return list(_changes(old, new, origins or {}))


def origins_of(task: Task) -> dict[str, str]:
    """Where each input of a task comes from, in words that `changes` adds."""
    return {name: _origin(source) for name, source in task.inputs.items()}


def _changes(old: dict[str, Any], new: dict[str, Any], origins: Origins) -> Iterator[str]:
    for name, before, now in _different(old["identity"], new["identity"]):
        yield f"the {name}{_of_step(name, new)}: {_values(before, now)}"
    if _json(old["does"]) != _json(new["does"]):
        yield _doing(old["does"], new["does"])
    for name, before, now in _different(old["values"], new["values"]):
        yield f"the parameter {name}: {_values(before, now)}{_from(origins, name)}"
    for name, before, now in _different(old["env"], new["env"]):
        yield f"the variable {name}: {_values(before, now)}"
    for name, before, now in _different(old["inputs"], new["inputs"]):
        yield f"the input {name}: {_contents(before, now)}{_from(origins, name)}"
    for name, before, now in _different(old["outputs"], new["outputs"]):
        yield f"the output {name}: {_values(before, now)}"
    if old["network"] != new["network"]:
        yield f"the network: {_values(old['network'], new['network'])}"


def _of_step(name: str, document: dict[str, Any]) -> str:
    """Whose code it is, where a step is known by its own and not by all that there is."""
    own = name == "code" and document["does"]["kind"] == "function" and "environment" in document["identity"]
    return f" of {document['does']['name']}" if own else ""


def _different(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What two objects do not have in common; as JSON, for which 1 and 1.0 are two values, where Python has one."""
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if _ABSENT in (before, now) or _json(before) != _json(now):
            yield name, before, now


def _from(origins: Origins, name: str) -> str:
    return f", {origins[name]}" if origins.get(name) else ""


def _origin(source: Source) -> str:
    if isinstance(source, Output):
        return f"which {source.task} gave"
    if isinstance(source, Argument):
        return f"the pipeline's {source.name}"
    return "" if isinstance(source, Constant) else f"from {named(source)}"


def _doing(old: dict[str, Any], new: dict[str, Any]) -> str:
    what = f"the {new['kind']}" if old["kind"] == new["kind"] else "what it does"
    return f"{what}: {_arrow(_does(old), _does(new))}"


def _does(does: dict[str, Any]) -> str:
    if does["kind"] == "function":
        return f"{does['module']}.{does['name']}"
    return _json(does.get("argv", does.get("name", does)))


def _values(before: Any, now: Any) -> str:
    """Texts as they are, unless one of them is none: then "1" is to be told from 1."""
    texts = all(isinstance(each, str) for each in (before, now) if each is not _ABSENT)
    before, now = ((each if texts else _json(each)) if each is not _ABSENT else "nothing" for each in (before, now))
    return _arrow(before, now)


def _contents(old: Any, new: Any) -> str:
    """What became of an input: of many, how many there are and the first that is another."""
    if old is _ABSENT or new is _ABSENT or len(old) != len(new):
        return f"{_count(old)} -> {_count(new)}"
    index, before, now = next((n, *pair) for n, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1])
    which = f"[{index}] " if len(new) > 1 else ""
    if _digest(before) != _digest(now):
        return f"{which}{_arrow(_digest(before), _digest(now))}"
    if _kind(before) != _kind(now):
        return f"{which}{_kind(before)} -> {_kind(now)}"
    return f"{which}metadata {_arrow(_metadata(before), _metadata(now))}"


def _count(some: Any) -> str:
    if some is _ABSENT:
        return "nothing"
    return _short(_digest(some[0])) if len(some) == 1 else f"{len(some)} artifacts"


def _digest(content: Any) -> str:
    return str(content["digest"] if isinstance(content, dict) else content)


def _kind(content: Any) -> str:
    return "a folder" if isinstance(content, dict) and content.get("folder") else "a file"


def _metadata(content: Any) -> str:
    return _json(content.get("metadata", {}) if isinstance(content, dict) else {})


def _arrow(before: str, now: str) -> str:
    """Two texts, long ones from shortly before where they part."""
    if before.startswith("sha256:") or now.startswith("sha256:"):
        return f"{_short(before)} -> {_short(now)}"
    if max(len(before), len(now)) <= _WIDE:
        return f"{before} -> {now}"
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    parting = max(0, same - _WIDE // 4)
    return f"{_window(before, parting)} -> {_window(now, parting)}"


def _window(text: str, start: int) -> str:
    end = start + _WIDE
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _short(text: str) -> str:
    """A digest by its first digits."""
    return f"{text[:19]}…" if text.startswith("sha256:") else _window(text, 0)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
