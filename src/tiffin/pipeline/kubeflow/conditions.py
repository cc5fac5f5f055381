"""Conditions as text in the Common Expression Language, spelled as Kubeflow's own compiler spells them."""

from __future__ import annotations

from collections.abc import Callable

from tiffin.pipeline.graph import Compare, Condition, Constant, Every, Not, Source

Operand = Callable[[Source], tuple[str, str]]
"""Gives the name of the input that a source reaches a condition by, and its type."""

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def text(tests: tuple[Condition, ...], operand: Operand) -> str:
    """All of these conditions in one."""
    return " && ".join(_spelled(test, operand, within=len(tests) > 1) for test in tests)


def _spelled(condition: Condition, operand: Operand, *, within: bool) -> str:
    """A condition; one of several that stands `within` others has parentheses."""
    if isinstance(condition, Compare):
        return _comparison(condition, operand)
    if isinstance(condition, Not):
        return f"!({_spelled(condition.of, operand, within=False)})"
    sign = " && " if isinstance(condition, Every) else " || "
    joined = sign.join(_spelled(inner, operand, within=True) for inner in condition.of)
    return f"({joined})" if within else joined


def _comparison(compare: Compare, operand: Operand) -> str:
    left, right = (_side(side, operand) for side in (compare.left, compare.right))
    if {left[1], right[1]} == {"int", "float"}:  # CEL compares no whole number with another
        left, right = ((f"double({word})" if kind == "int" else word, kind) for word, kind in (left, right))
    return f"{left[0]} {compare.operator} {right[0]}"


def _side(source: Source, operand: Operand) -> tuple[str, str]:
    if isinstance(source, Constant):
        return _literal(source.value)
    name, kind = operand(source)
    word = f"inputs.parameter_values['{name}']"
    return (f"int({word})" if kind == "int" else word), kind


def _literal(value: object) -> tuple[str, str]:
    if isinstance(value, bool):
        return str(value).lower(), "bool"
    if isinstance(value, int):
        return str(value), "int"
    if isinstance(value, float):
        return repr(value), "float"
    return "'" + "".join(_ESCAPES.get(letter, letter) for letter in str(value)) + "'", "str"
