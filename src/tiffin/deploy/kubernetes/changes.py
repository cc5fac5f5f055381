"""What an apply changes, object by object: the cluster's own answer to a dry run, compared with what is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tiffin.deploy.kubernetes.order import called, in_order
from tiffin.deploy.target import Action, Change

Object = dict[str, Any]
_UNTOLD = {"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"}
"""What the server writes into metadata by itself."""
_TOLD_OTHERWISE = {"tiffin.dev/service", "kubernetes.io/change-cause"}
"""Annotations that repeat the rest, or say how it came to be."""
_MISSING = object()
_LONGEST = 80
_NAMED = ("name", "containerPort", "port", "type", "key", "topologyKey")
"""Keys by which parts of a list are known, as in the API's own merges."""


def created(objects: Iterable[Object]) -> list[Change]:
    """Say that all of them are new."""
    return [Change(action=Action.CREATE, what=called(one)) for one in in_order(objects)]


def changed(before: Object | None, after: Object) -> Change:
    """Say what becomes of one object, each field that differs a line."""
    if before is None:
        return Change(action=Action.CREATE, what=called(after))
    details = tuple(_differences(_told(before), _told(after), ""))
    return Change(action=Action.CHANGE if details else Action.KEEP, what=called(after), details=details)


def removed(things: Iterable[Object]) -> list[Change]:
    """Say that these are removed."""
    return [Change(action=Action.REMOVE, what=called(one)) for one in things]


def _told(thing: Object) -> Object:
    """An object without what the server keeps account of."""
    metadata = {key: value for key, value in thing["metadata"].items() if key not in _UNTOLD}
    metadata["annotations"] = {
        key: value
        for key, value in metadata.get("annotations", {}).items()
        if key not in _TOLD_OTHERWISE and not key.startswith("deployment.kubernetes.io/")
    }
    return {**{key: value for key, value in thing.items() if key != "status"}, "metadata": metadata}


def _differences(before: Any, after: Any, place: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(
                before.get(key, _MISSING), after.get(key, _MISSING), f"{place}.{key}" if place else key
            )
    elif isinstance(before, list) and isinstance(after, list) and (by := _name_of(before, after)):
        was, becomes = ({str(one[by]): one for one in side} for side in (before, after))
        for key in dict.fromkeys([*was, *becomes]):
            yield from _differences(was.get(key, _MISSING), becomes.get(key, _MISSING), f"{place}[{key}]")
    elif before != after:
        yield f"{place}: {_written(before)} -> {_written(after)}"


def _name_of(*sides: Sequence[Any]) -> str:
    """The key by which the parts of a list are told apart, if they have one."""
    parts = [part for side in sides for part in side]
    for key in _NAMED:
        if parts and all(isinstance(part, Mapping) and key in part for part in parts):
            return key if all(len({str(part[key]) for part in side}) == len(side) for side in sides) else ""
    return ""


def _written(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
