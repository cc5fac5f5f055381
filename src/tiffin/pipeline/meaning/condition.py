"""Whether a condition holds, as CEL says it (cel-spec, "Logical operators" and "Equality and ordering").

Numbers are compared by what they amount to, whether int or float, and no type with another. What cannot be told is an
error, unless another part of `&` or `|` decides the whole without it, on whichever side of it that stands.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import Compare, Condition, Every, Not, Some, Source
from tiffin.pipeline.meaning.sources import worded
from tiffin.pipeline.meaning.values import noun, shown

ValueOf = Callable[[Source], Any]
_NUMBERS = (int, float)
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(condition: Condition, value_of: ValueOf) -> bool:
    """Say whether a condition holds of the values its sources have; raises ConfigError where that has no meaning."""
    if isinstance(condition, Compare):
        return _compare(condition, value_of(condition.left), value_of(condition.right))
    if isinstance(condition, Not):
        return not holds(condition.of, value_of)
    return _decided(condition, value_of, by=isinstance(condition, Some))


def _decided(condition: Every | Some, value_of: ValueOf, *, by: bool) -> bool:
    """`by` is the answer of one part that decides the whole: an error elsewhere does not matter then."""
    unknown: ConfigError | None = None
    for each in condition.of:
        try:
            if holds(each, value_of) is by:
                return by
        except ConfigError as error:
            unknown = unknown or error
    if unknown:
        raise unknown
    return not by


def _compare(condition: Compare, left: Any, right: Any) -> bool:
    ordering = _ORDER.get(condition.operator)
    if _kind(left) is not _kind(right) or (ordering and _kind(left) in (list, dict, type(None))):
        raise _unequal_kinds(condition, left, right)
    if ordering:
        return ordering(left, right)
    return _equal(left, right) is (condition.operator == "==")


def _kind(value: Any) -> type:
    """Which values a value can be compared with."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, _NUMBERS) else type(value)


def _equal(left: Any, right: Any) -> bool:
    """Equal all through: Python takes True for 1, and CEL does not."""
    if _kind(left) is not _kind(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _unequal_kinds(condition: Compare, left: Any, right: Any) -> ConfigError:
    found = f"{noun(left)} ({_short(left)}) with {noun(right)} ({_short(right)})"
    return ConfigError(
        f"`{worded(condition)}` compares {found}, of which no one can say whether it holds",
        "compare numbers with numbers, texts with texts, and what is true with True",
    )


def _short(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= 40 else f"{text[:37]}…"  # noqa: PLR2004 - two of them fit on a line
