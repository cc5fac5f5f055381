"""Values as Go writes them: in commands (`component/launcher_v2.go`), and in the JSON of protobuf messages."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

_EXACT = 2**53
_SMALL, _LARGE = 1e-6, 1e21
"""Numbers beyond these have an exponent in Go's JSON."""
_HTML = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def rendered(value: Any) -> str:
    """A parameter's value as a command is told it.

    Every number is a float to protobuf, and is written by `strconv.FormatFloat(v, 'f', -1, 64)`; lists and dicts go
    through `encoding/json`, which escapes what HTML could take for its own.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _digits(_as_float(value))
    return message(value).translate(_HTML)


def message(value: Any) -> str:
    """A value as `protojson` writes it, without spaces; what was sorted stays so."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(key))}:{message(each)}" for key, each in sorted(value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(message, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return _number(_as_float(value)) if isinstance(value, int | float) else _text(str(value))


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _digits(value: float) -> str:
    """The shortest digits that are this number, without an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return f'"{_INFINITE.get(_digits(value), "NaN")}"'
    if value and not _SMALL <= abs(value) < _LARGE:
        return f"{Decimal(repr(value)).normalize():e}"
    return _digits(value)


_INFINITE = {"+Inf": "Infinity", "-Inf": "-Infinity"}
