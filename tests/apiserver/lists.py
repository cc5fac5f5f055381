"""Which lists of built-in kinds are merged item by item, and by what (`x-kubernetes-list-map-keys`); others are whole.

Written down by the path below `spec` or `metadata`, as far as it tells lists apart; from the API reference of 1.36.
"""

from __future__ import annotations

from typing import Any

Key = tuple[tuple[str, Any], ...]

_POD_LISTS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
_SETS = {"finalizers"}
_WHOLE_MAPS = {
    "selector",
    "matchLabels",
    "nodeSelector",
    "resourceFieldRef",
    "fieldRef",
    "secretKeyRef",
    "configMapKeyRef",
}
_DEFAULTS = {"protocol": "TCP"}


def keys_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """The fields by which the items of the list at a path are told apart; none for a list that is whole."""
    name = path[-1].removeprefix("f:") if path else ""
    if name == "ports":  # of a container, or of a Service
        within = any(part in {"f:containers", "f:initContainers"} for part in path)
        return ("containerPort", "protocol") if within else ("port", "protocol")
    return _POD_LISTS.get(name, ())


def is_set(path: tuple[str, ...]) -> bool:
    """Whether the list at a path is a set of values."""
    return bool(path) and path[-1].removeprefix("f:") in _SETS


def is_whole_map(path: tuple[str, ...]) -> bool:
    """Whether the map at a path has one owner."""
    return bool(path) and path[-1].removeprefix("f:") in _WHOLE_MAPS


def default_of(key: str) -> Any:
    """What a key is where an item does not say."""
    return _DEFAULTS.get(key)
