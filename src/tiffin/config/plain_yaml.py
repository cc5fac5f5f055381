"""YAML that other tools write (conda, MLflow), read as tables, lists and texts.

Nothing is made of a value: `python: 3.10` stays what was written, and tags mean nothing; only a null becomes the empty
text. A file is bounded in size and depth, and aliases, by which a few lines grow into gigabytes, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import ConfigError

Value = dict[str, "Value"] | list["Value"] | str
LARGEST = 4 << 20
"""Bytes of a file that is read; the signature of a model with thousands of columns is a tenth of that."""

_DEEPEST = 32
_NULLS = {"null", "Null", "NULL", "~"}


def read_yaml(path: Path) -> Value:
    """Read a file; raises ConfigError for one that is absent, too large, no YAML, too deep, or has aliases."""
    import yaml  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: PLC0415 - few projects need it

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ConfigError(f"{path} has more than {LARGEST} bytes", "name another file")
        # libyaml's parser is ten times as fast, where PyYAML was built with it
        return _document(yaml.parse(data, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)))
    except (OSError, yaml.YAMLError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(f"cannot read {path}: {reason}", "it must be plain YAML in UTF-8") from error


def _document(events: Iterator[Any]) -> Value:
    """Build the value of the only document in a stream of PyYAML's events."""
    value: Value | None = None
    for event in events:
        if type(event).__name__ == "DocumentStartEvent":
            if value is not None:
                raise ValueError("it has several documents")
            value = _node(events, next(events), 0)
    return "" if value is None else value


def _node(events: Iterator[Any], first: Any, depth: int) -> Value:
    """Build the node that begins with this event, taking the events that belong to it."""
    kind = type(first).__name__
    if kind == "AliasEvent":
        raise ValueError(f"line {first.start_mark.line + 1} has the alias *{first.anchor}")
    if kind == "ScalarEvent":
        return "" if first.implicit[0] and first.value in _NULLS else str(first.value)
    if depth == _DEEPEST:
        raise ValueError(f"line {first.start_mark.line + 1} is nested too deep")
    parts: list[Value] = []
    while not type(event := next(events)).__name__.endswith("EndEvent"):
        parts.append(_node(events, event, depth + 1))
    if kind == "SequenceStartEvent":
        return parts
    keys = [key for key in parts[::2] if isinstance(key, str)]
    if 2 * len(keys) != len(parts):
        raise ValueError(f"line {first.start_mark.line + 1} has a key that is no text")
    return dict(zip(keys, parts[1::2], strict=True))
