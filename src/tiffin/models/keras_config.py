"""What a Keras model would make when it is loaded: every class that its config.json names.

keras/src/saving/serialization_lib.py: `{"module", "class_name", "config", "registered_name"}`. Precedents:
CVE-2024-3660 (Lambda layers), CVE-2025-1550 (`module`), CVE-2025-49655 (TorchModuleWrapper), CVE-2025-12058 (a
vocabulary that is a path).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiffin.models.archives import tables
from tiffin.models.pickle_machine import Use

_VALUES = frozenset(
    {"__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__tuple__", "__slice__", "__keras_tensor__"}
)
"""Classes that are Keras's way to write plain values."""
_FUNCTION = "function"


def keras_uses(config: dict[str, Any]) -> Iterator[Use]:
    """Everything that a config imports by name, or does besides."""
    for node in tables(config):
        yield from _node(node)


def _node(node: dict[str, Any]) -> Iterator[Use]:
    vocabulary = node.get("vocabulary")
    if isinstance(vocabulary, str):
        yield Use(what=f"the vocabulary {vocabulary[:100]!r}, which is a file", named=False, opcode="vocabulary")
    if "class_name" not in node:
        return
    name, module, registered = str(node["class_name"]), node.get("module"), node.get("registered_name")
    if name == _FUNCTION and module in ("builtins", None) and registered in (_FUNCTION, None):
        name, module, registered = str(node.get("config")), None, None
        if name.isidentifier():
            return  # one of Keras's own by its name: it is looked for nowhere else
    if registered not in (None, name):
        module, _, name = str(registered).rpartition(">")
    if name not in _VALUES:
        yield Use(what=f"{module or 'keras'}:{name}", named=True, opcode="class_name")
