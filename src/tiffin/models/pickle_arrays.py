"""The arrays that joblib writes between the opcodes: how many bytes they are, or that they are a pickle of their own.

joblib/numpy_pickle.py, `NumpyArrayWrapper`; the state of a dtype is that of numpy's `dtype.__reduce__`. Only what
numpy itself writes is followed: a dtype that says one thing in two ways is refused, since a loader may believe either.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tiffin.models.pickle_opcodes import BrokenPickleError

_FIXED = {"b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8", "f12", "f16"} | {
    *("c8", "c16", "c24", "c32", "M8", "m8")
}
_BASIC_STATE = 8
_DEEPEST = 8
_HAS_OBJECTS = 1


class Made(msgspec.Struct, eq=False):
    """An object that a call made: of which class, with which arguments, and the state that was given to it."""

    of: str
    arguments: object = ()
    state: object = None
    attributes: dict[str, object] | None = None


class ArrayBytes(msgspec.Struct, frozen=True, kw_only=True):
    """What follows the announcement of an array: a pickle of objects, or `size` bytes after padding where `padded`."""

    objects: bool
    size: int
    padded: bool


def announced(wrapper: Made) -> ArrayBytes:
    """Read the announcement; raises BrokenPickleError for one that joblib does not write."""
    said = wrapper.attributes or {}
    shape, dtype = said.get("shape"), said.get("dtype")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise BrokenPickleError("an array whose shape cannot be followed")
    size, objects = _item(dtype, _DEEPEST)
    total = size * math.prod(shape)
    if total >= 1 << 62 or not size:
        raise BrokenPickleError("an array whose size cannot be followed")
    return ArrayBytes(objects=objects, size=total, padded=said.get("numpy_array_alignment_bytes") is not None)


def _item(dtype: object, depth: int) -> tuple[int, bool]:
    """Return the bytes of one item, and whether it holds Python objects."""
    if not (isinstance(dtype, Made) and dtype.of == "numpy:dtype" and depth):
        raise _unclear(dtype)
    code, state = _code(dtype), dtype.state
    if not isinstance(state, tuple) or len(state) < _BASIC_STATE:
        raise _unclear(code)
    names, fields, width, flags = state[3], state[4], state[5], state[7]
    if state[2] is not None or type(width) is not int or type(flags) is not int:
        raise _unclear(code)
    if names is None and fields is None:
        size, objects = _plain(code, width)
    else:
        size, objects = _record(code, names, fields, width, depth)
    if objects != bool(flags & _HAS_OBJECTS):
        raise _unclear(code)
    return size, objects


def _code(dtype: Made) -> str:
    """Return what the dtype was made of, such as `f8`; numpy writes `(code, False, True)`."""
    arguments = dtype.arguments
    if isinstance(arguments, tuple) and arguments[1:] == (False, True) and isinstance(arguments[0], str):
        return arguments[0]
    raise _unclear(arguments)


def _plain(code: str, width: int) -> tuple[int, bool]:
    kind, digits = code[:1], code[1:]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):  # noqa: PLR2004 - 32 bits
        raise _unclear(code)
    size = int(digits)
    if code in _FIXED and width in (-1, size):
        return size, False
    if kind == "O" and width in (-1, size):
        return size, True
    if (kind in "SV" and width == size) or (kind == "U" and width == 4 * size):
        return width, False
    raise _unclear(code)


def _record(code: str, names: Any, fields: Any, width: int, depth: int) -> tuple[int, bool]:
    """Measure a structured dtype: `V<width>` with named fields."""
    if code != f"V{width}" or not isinstance(names, tuple) or not isinstance(fields, dict) or set(names) != set(fields):
        raise _unclear(code)
    objects = False
    for field in fields.values():
        if not isinstance(field, tuple) or not field:
            raise _unclear(code)
        objects |= _item(field[0], depth - 1)[1]
    return width, objects


def _unclear(what: object) -> BrokenPickleError:
    return BrokenPickleError(f"an array of a type that cannot be followed ({str(what)[:40]})")
