"""What a skops file would make when it is loaded: every type, function and method that its schema names.

skops/io/_general.py and _numpy.py; a node is `{"__module__", "__class__", "__loader__", ...}`. skops leaves the choice
of what to trust to whoever loads, and trusts by itself what its own release knows; here it is one list for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiffin.models.archives import json_object, tables
from tiffin.models.pickle_machine import Use

_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})


def skops_uses(schema: dict[str, Any]) -> Iterator[Use]:
    """Everything that a schema imports by name, or does besides."""
    for node in tables(schema):
        yield from _node(node)


def _node(node: dict[str, Any]) -> Iterator[Use]:
    loader, content = str(node.get("__loader__", "")), node.get("content")
    if loader or "__class__" in node:
        yield _use(f"{node.get('__module__')}:{node.get('__class__')}", loader)
    if "module_path" in node:  # as releases before 0.4 named functions
        yield _use(f"{node['module_path']}:{node.get('function')}", loader)
    if loader == "MethodNode":
        method = content.get("func") if isinstance(content, dict) else ""
        yield _use(f"{node.get('__module__')}:{node.get('__class__')}.{method}", loader)
    if loader == "RandomGeneratorNode" and _generator(content) not in _GENERATORS:
        yield _use(f"numpy.random:{_generator(content)}", loader)


def _use(what: str, loader: str) -> Use:
    return Use(what=what, named=True, opcode=loader or "a type")


def _generator(content: Any) -> str:
    """The bit generator of a state, which is a text in JSON in a node in a dict, and which is called."""
    try:
        named = content["bit_generator"]["content"]["bit_generator"]["content"]
    except (KeyError, TypeError):
        return "a generator without a name"
    return str(named).strip('"') if json_object(b'{"x": %s}' % str(named).encode()) else "a generator without a name"
