"""Values of parameters: of which type they are, how they look as text, and what text means when a step gives it.

The text is what Kubeflow's launcher writes and reads (`component/launcher_v2.go`, `driver/resolve.go`): numbers as Go's
`FormatFloat(v, 'f', -1, 64)`, lists and dicts as compact JSON; so a command sees the same here and on a cluster.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from tiffin.errors import CommandError, ConfigError

_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_EXACT = 2**53
"""Whole numbers up to here are the same as integers and as floats."""
_NOUNS = {
    bool: "a bool",
    int: "an int",
    float: "a float",
    str: "a str",
    list: "a list",
    tuple: "a list",
    dict: "a dict",
    type(None): "nothing",
}


_TYPES: Mapping[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list}
"""Of all others the values are dicts."""
_EXAMPLES = {
    "int": "an int such as 3",
    "float": "a finite float such as 0.5",
    "bool": "true or false",
    "str": "a text",
    "list": "a JSON list such as [1,2]",
}


class _UnfitError(ValueError):
    """A value is not what its type says, in words that follow `is`."""


def typed(value: Any, type_: str, what: str) -> Any:
    """Return a value as one of a port's type; an int given for a float is that float, and 3.0 for an int is 3.

    Raises ConfigError, beginning with `what` it is, for anything else.
    """
    try:
        return _fit(value, type_)
    except _UnfitError as error:
        raise ConfigError(f"{what} is {error}", f"give {_example(type_)}") from None


def written(text: str, type_: str, what: str) -> Any:
    """Read a value that somebody wrote as text, such as `--set depth=5`; raises ConfigError."""
    try:
        return _read(text, type_)
    except _UnfitError as error:
        raise ConfigError(f"{what} is {error}", f"write {_example(type_)}") from None


def given(text: str, type_: str, what: str) -> Any:
    """Read a value that a step wrote into a file of its outputs; raises CommandError."""
    try:
        return _read(text, type_)
    except _UnfitError as error:
        raise CommandError(f"{what} is {error}", f"have the step write {_example(type_)}") from None


def shown(value: Any) -> str:
    """A value as text: what a command's argument is, and what a file of it holds."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False)


def noun(value: Any) -> str:
    """What a value is, in words: `an int`, `a list`."""
    return _NOUNS.get(type(value), f"a {type(value).__name__}")


def _fit(value: Any, type_: str) -> Any:
    """Have a value of a type, or say what it is instead."""
    _finite(value)
    if type_ == "float" and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value)
    if type_ == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if type_ == "list" and isinstance(value, tuple):
        return list(value)
    wanted = _TYPES.get(type_, dict)
    if type(value) is not wanted:
        raise _UnfitError(f"{noun(value)}, {_cut(repr(value))}, and should be {_NOUNS[wanted]}")
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _UnfitError(f"{_cut(str(value))}, which is larger than any float") from None


def _finite(value: Any) -> None:
    """Refuse what JSON cannot say: what is not a number, or infinite, and keys that are no texts."""
    if isinstance(value, float) and not math.isfinite(value):
        word = "not a number (NaN)" if math.isnan(value) else "infinite"
        raise _UnfitError(f"{word}, which can be neither compared nor kept")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise _UnfitError(f"a dict with {noun(key)} as a key, and JSON has texts only")
            _finite(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _finite(each)


def _read(text: str, type_: str) -> Any:
    """What a text means as a value of a type; space around anything but a str means nothing."""
    if type_ == "str":
        return text
    reader = _READERS.get(type_, _json)
    try:
        return _fit(reader(text.strip()), type_)
    except _UnfitError:
        raise
    except (ValueError, RecursionError):
        raise _UnfitError(f"{_cut(text)!r}, and should be {_NOUNS[_TYPES.get(type_, dict)]}") from None


def _whole(text: str) -> Any:
    """An int is decimal digits; `3.0` is 3, as it is in the YAML of pipelines."""
    _digits(text)
    try:
        return int(text)
    except ValueError:
        return float(text)


def _fraction(text: str) -> Any:
    _digits(text)
    return float(text)


def _digits(text: str) -> None:
    """Refuse what Python alone takes for digits: 1_000, and those of other scripts."""
    if "_" in text or not text.isascii():
        raise ValueError(text)


def _truth(text: str) -> Any:
    """Read what Go's `ParseBool` reads."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(text)


def _json(text: str) -> Any:
    return json.loads(text)


_READERS: Mapping[str, Callable[[str], Any]] = {"int": _whole, "float": _fraction, "bool": _truth}


def _number(value: float) -> str:
    """The shortest digits that are this float, without an exponent."""
    text = f"{Decimal(repr(value)):f}"
    return text.removesuffix(".0")


def _plain(value: Any) -> Any:
    """Whole floats as Go's JSON has them, 3 for 3.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _example(type_: str) -> str:
    return _EXAMPLES.get(type_, 'a JSON object such as {"depth":3}')


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - a line of a terminal has room for it
