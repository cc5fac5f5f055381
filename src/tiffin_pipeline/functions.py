"""What a function says of itself. `inspect` would tell too, and takes as long to import as all the rest of a step."""

from __future__ import annotations

from types import FunctionType
from typing import Any, List, NamedTuple, Optional

_VARARGS, _VARKEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x80, 0x200
"""Flags of code, as `inspect` calls them."""


class Parameter(NamedTuple):
    """A parameter: whether it can be given by its name, and the only value of `default` where it has one."""

    name: str
    named: bool = True
    default: "Optional[List[Any]]" = None


def is_function(thing: object) -> bool:
    """Say whether something was written as `def`, or as a lambda."""
    return isinstance(thing, FunctionType)


def written(function: Any) -> Any:
    """The function below decorators that use `functools.wraps`."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def is_plain(function: Any) -> bool:
    """Say whether a call of it runs to its end: that it is no generator, and not async."""
    return not function.__code__.co_flags & (_GENERATOR | _COROUTINE | _ASYNC_GENERATOR)


def parameters(function: Any) -> List[Parameter]:
    """The parameters of a function in their order, `*args` and `**kwargs` last."""
    function = written(function)
    code, by_name = function.__code__, function.__kwdefaults__ or {}
    names = code.co_varnames
    ordinary, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    defaults = [None] * (ordinary - len(function.__defaults__ or ())) + [[one] for one in function.__defaults__ or ()]
    found = [
        Parameter(name, number >= code.co_posonlyargcount, default)
        for number, (name, default) in enumerate(zip(names[:ordinary], defaults))  # noqa: B905 - see `work`
    ]
    found += [Parameter(name, True, [by_name[name]] if name in by_name else None) for name in names[ordinary:last]]
    several = bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)
    return found + [Parameter(name, named=False) for name in names[last : last + several]]
