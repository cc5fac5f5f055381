"""Sets of fields of an object, and what applying does to values: structured-merge-diff, in small.

A path is a tuple of elements as managedFields writes them: `f:spec`, `k:{"name":"app"}`, `v:"x"`. A set has the leaves
of a value (scalars, empty and whole lists and maps) and the items of lists that have keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from apiserver.lists import default_of, is_set, is_whole_map, keys_of

Path = tuple[str, ...]
Fields = frozenset[Path]
_ABOUT = "name generateName namespace uid resourceVersion generation creationTimestamp deletionTimestamp managedFields"
_NOBODYS = {("f:apiVersion",), ("f:kind",), *(("f:metadata", f"f:{name}") for name in _ABOUT.split(" "))}


def children(value: Any, path: Path) -> dict[str, Any] | None:
    """What is below a value, by element; None for what has one owner."""
    if isinstance(value, dict) and not is_whole_map(path):
        return {f"f:{name}": child for name, child in value.items()}
    if isinstance(value, list) and (keys := keys_of(path)):
        return {_element(item, keys): item for item in value}
    if isinstance(value, list) and is_set(path):
        return {f"v:{_text(item)}": item for item in value}
    return None


def fields_of(value: Any, path: Path = ()) -> Fields:
    """The fields that a value has, without those that are nobody's, such as its name."""
    return frozenset(found for found in _walk(value, path) if found[:1] not in _NOBODYS and found[:2] not in _NOBODYS)


def _walk(value: Any, path: Path) -> Iterator[Path]:
    below = children(value, path)
    if not below:
        yield path
        return
    for element, child in below.items():
        if not element.startswith("f:"):
            yield (*path, element)
        if not element.startswith("v:"):
            yield from _walk(child, (*path, element))


def at(value: Any, path: Path) -> Any:
    """The value at a path, or None."""
    for depth, element in enumerate(path):
        value = (children(value, path[:depth]) or {}).get(element)
    return value


def merge(live: Any, wanted: Any, path: Path = ()) -> Any:
    """Lay what is wanted over what there is; items of lists with keys keep their places, new ones come last."""
    there, here = children(live, path), children(wanted, path)
    if there is None or here is None:
        return wanted
    merged = there | {
        element: merge(there[element], child, (*path, element)) if element in there else child
        for element, child in here.items()
    }
    return _assembled(merged, wanted)


def without(value: Any, gone: Iterable[Path], path: Path = ()) -> Any:
    """Take away what is at these paths, and what is empty then."""
    paths = set(gone)
    below = children(value, path)
    if not below or not paths:
        return value
    kept = {}
    for element, child in below.items():
        here = (*path, element)
        inner = {found for found in paths if found[: len(here)] == here}
        left = child if here not in inner else None
        if left is not None and inner:
            left = without(child, inner, here)
        if left is not None and not (inner and child and left in ({}, [])):
            kept[element] = left
    return _assembled(kept, value)


def is_key(path: Path) -> bool:
    """Whether it is by this field that an item is told apart."""
    return len(path) > 1 and path[-2].startswith("k:") and path[-1].removeprefix("f:") in json.loads(path[-2][2:])


def changed(before: Any, after: Any) -> Fields:
    """The fields that were added or have another value."""
    return frozenset(path for path in fields_of(after) if not _same(before, after, path))


def removed(before: Any, after: Any) -> Fields:
    """The fields that are there no more."""
    return fields_of(before) - fields_of(after)


def _same(before: Any, after: Any, path: Path) -> bool:
    if path not in fields_of(before):
        return False
    return path[-1].startswith(("k:", "v:")) or at(before, path) == at(after, path)


def encode(fields: Fields) -> dict[str, Any]:
    """Write a set as `FieldsV1`: a tree, in which `.` is an item itself."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        branch = tree
        for element in path:
            branch = branch.setdefault(element, {})
        if path[-1].startswith("k:"):
            branch["."] = {}
    return tree


def decode(tree: dict[str, Any], path: Path = ()) -> Fields:
    """Read a set that `encode` wrote."""
    if not tree:
        return frozenset({path})
    inner = (decode(below, (*path, element)) for element, below in tree.items() if element != ".")
    return frozenset().union(*inner, {path} if "." in tree else ())


def shown(path: Path) -> str:
    """Write a path as a server's errors do: `.spec.template.spec.containers[name="app"].image`."""
    return "".join(_shown(element) for element in path)


def _shown(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    return "[" + ",".join(f"{name}={_text(value)}" for name, value in json.loads(rest).items()) + "]"


def _element(item: Any, keys: tuple[str, ...]) -> str:
    found = {key: item.get(key, default_of(key)) for key in keys}
    return "k:" + _text({key: value for key, value in sorted(found.items()) if value is not None})


def _assembled(below: dict[str, Any], like: Any) -> Any:
    return list(below.values()) if isinstance(like, list) else {name[2:]: child for name, child in below.items()}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
