"""A YAML stream with its lines, so that whatever is wrong in it can be pointed at."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.errors import ConfigError

Path = tuple[str | int, ...]
LARGEST = 8 << 20
"""Characters of a file that is read; the largest pipelines that kfp compiles have a twentieth of that."""

_DEEPEST = 96
_MOST = 500_000


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a stream: its value, and the line of each of its places."""

    value: Any
    lines: dict[Path, int]


def place_of(path: Path) -> str:
    """A place as people write it: `root.dag.tasks.train.inputs`, `command[0]`, and `tasks['a.b']` where it must be."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of a place, or of the nearest one around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def read_documents(text: str, file: str) -> list[Document]:
    """Read every document of a stream that is not empty; raises ConfigError with the line for what is no plain YAML."""
    import yaml  # noqa: PLC0415 - delays every start otherwise

    if len(text) > LARGEST:
        raise ConfigError(f"{file} has more than {LARGEST} characters", "name a compiled pipeline")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        nodes = list(yaml.compose_all(text, Loader=loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        raise ConfigError(f"{where}: no YAML: {_reason(error)}", "compile the pipeline again") from error
    documents = (_Reader(yaml.SafeLoader(""), file).document(node) for node in nodes if node is not None)
    return [document for document in documents if document.value is not None]


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "problem", "") or error).split())


class _Reader:
    """Makes one document of its nodes, counting what aliases make of few lines."""

    def __init__(self, scalars: Any, file: str) -> None:
        self._scalars, self._file = scalars, file
        self._lines: dict[Path, int] = {}
        self._seen = 0

    def document(self, node: Any) -> Document:
        return Document(value=self._value(node, (), 0), lines=self._lines)

    def _value(self, node: Any, path: Path, depth: int) -> Any:
        line = node.start_mark.line + 1
        self._seen += 1
        if depth == _DEEPEST or self._seen > _MOST:
            raise ConfigError(f"{self._file}:{line}: nested too deep, or too much", "compile the pipeline again")
        self._lines.setdefault(path, line)
        if node.id == "mapping":
            return self._mapping(node, path, depth)
        if node.id == "sequence":
            return [self._value(each, (*path, number), depth + 1) for number, each in enumerate(node.value)]
        return self._scalar(node, path, line)

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key_node.id != "scalar" or key in found:
                reason = f"{key!r} is there twice" if key in found else "a key is no text"
                raise ConfigError(f"{self._file}:{line}: {reason} - at {place_of(path)}", "take one of them away")
            self._lines[*path, key] = line
            found[key] = self._value(value_node, (*path, key), depth + 1)
        return found

    def _scalar(self, node: Any, path: Path, line: int) -> Any:
        value = self._scalars.construct_object(node)
        if isinstance(value, str | int | float | bool | None):
            return value
        if node.tag == "tag:yaml.org,2002:timestamp":
            return str(node.value)
        raise ConfigError(f"{self._file}:{line}: not a plain value - at {place_of(path)}", "write a text or a number")
