"""What a step takes and gives, read out of a function's annotations."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import types
import typing
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from tiffin_pipeline.artifacts import OUTPUT, Artifact, Status, plain
from tiffin_pipeline.errors import PipelineError, Place, a
from tiffin_pipeline.functions import Parameter, parameters, written

PARAMETERS: Dict[Any, str] = {
    int: "int",
    float: "float",
    str: "str",
    bool: "bool",
    list: "list",
    dict: "dict",
    Status: "status",
}
_UNIONS: Tuple[Any, ...] = (Union, getattr(types, "UnionType", Union))
_HINT = (
    "a value is `int`, `float`, `str`, `bool`, `list` or `dict`; "
    "a file or folder is `Dataset`, `Model`, `Metrics` or `Artifact`, or `list[Dataset]`; "
    "what is written is `Output[Dataset]`"
)


MARK = re.compile("⟦tiffin:([0-9]+)⟧")
"""What stands in a text for a value that is not there yet."""


class Port(NamedTuple):
    """One input or output: its Python type, whether it is several, and whether it may stay away."""

    kind: Any
    many: bool = False
    optional: bool = False
    default: Any = None
    written: bool = False

    @property
    def type(self) -> str:
        """Its type's name in documents."""
        return type_name(self.kind)

    @property
    def is_parameter(self) -> bool:
        """Say whether it is a value, and no file."""
        return self.kind in PARAMETERS

    def document(self) -> Dict[str, Any]:
        """As the tool reads it."""
        document: Dict[str, Any] = {"type": self.type}
        document.update({key: True for key in ("many", "optional") if getattr(self, key)})
        if self.default is not None:
            document["default"] = self.default
        return document


class Ports(NamedTuple):
    """What a function takes and gives, each by name; `returned` are those outputs that it returns."""

    inputs: Dict[str, Port]
    outputs: Dict[str, Port]
    returned: Dict[str, Port]


def type_name(kind: Any) -> str:
    """The name of a type in documents and messages."""
    return PARAMETERS.get(kind, str(getattr(kind, "__name__", kind)))


def ports_of(function: Callable[..., Any], what: str) -> Ports:
    """The ports of a function; `what` names it in errors: "step `fit`"."""
    place = place_of(function)
    hints = type_hints(function, what, place)
    inputs: Dict[str, Port] = {}
    outputs: Dict[str, Port] = {}
    for parameter in parameters(function):
        port = _port(parameter, hints, "%s: parameter `%s`" % (what, parameter.name), place)
        (outputs if port.written else inputs)[parameter.name] = port
    returned = _returned(hints.get("return"), what, place)
    for name in returned:
        if name in outputs:
            raise PipelineError("%s has two outputs called `%s`" % (what, name), "call the parameter otherwise", place)
    return Ports(inputs, {**outputs, **returned}, returned)


def place_of(function: Callable[..., Any]) -> Place:
    """Where a function is written."""
    code = written(function).__code__
    return Place(code.co_filename, code.co_firstlineno)


def kind_of(annotation: Any, what: str, place: Optional[Place] = None) -> Port:
    """The port that an annotation asks for, without a default."""
    if typing.get_origin(annotation) in _UNIONS:
        inner = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(inner) == 1 and len(typing.get_args(annotation)) == 2:  # noqa: PLR2004 - of two, the other is None
            return kind_of(inner[0], what, place)._replace(optional=True)
    if OUTPUT in getattr(annotation, "__metadata__", ()):
        port = kind_of(annotation.__origin__, what, place)
        if port.is_parameter or port.many or port.optional or port.written:
            raise PipelineError("%s is an Output of %s, which is no file or folder" % (what, port.type), _RETURN, place)
        return port._replace(written=True)
    origin = typing.get_origin(annotation) or annotation
    inside = typing.get_args(annotation)
    if origin is list and inside and isinstance(inside[0], type) and issubclass(inside[0], Artifact):
        return Port(inside[0], many=True)
    if origin in PARAMETERS or (isinstance(origin, type) and issubclass(origin, Artifact)):
        return Port(origin)
    raise PipelineError("%s cannot be of type %s" % (what, _shown(annotation)), _HINT, place)


_RETURN = "return values instead: `-> float`, or a NamedTuple of several"


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def type_hints(function: Callable[..., Any], what: str, place: Place) -> Dict[str, Any]:
    """The annotations of a function, evaluated; raises PipelineError where one cannot be."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        older = sys.version_info < (3, 10) and "|" in str(error)
        hint = "on Python 3.9 write `Optional[int]` for `int | None`" if older else "import what the annotations name"
        raise PipelineError("%s: an annotation cannot be read: %s" % (what, error), hint, place) from error


def _port(parameter: Parameter, hints: Dict[str, Any], what: str, place: Place) -> Port:
    if not parameter.named:
        raise PipelineError("%s must be an ordinary parameter" % what, "write each input with its name and type", place)
    if parameter.name not in hints:
        raise PipelineError("%s has no type" % what, _HINT, place)
    # What `= None` alone makes optional is so on all versions; get_type_hints says it up to Python 3.10 only.
    port = kind_of(hints[parameter.name], what, place)
    if parameter.default is None:
        return port
    (default,) = parameter.default
    if port.written:
        raise PipelineError("%s is written, so it has no default" % what, "leave `= …` away", place)
    if default is None:
        return port._replace(optional=True)
    return port._replace(optional=True, default=default_of(port, default, what, place))


def default_of(port: Port, given: Any, what: str, place: Place) -> Any:
    """A default as JSON has it; a file's is its path."""
    return constant(port, given, what, place) if port.is_parameter else _paths(port, given, what, place)


def _paths(port: Port, given: Any, what: str, place: Place) -> Any:
    several = isinstance(given, (list, tuple))
    paths = list(given) if several else [given]
    if several is not port.many or not all(isinstance(path, (str, os.PathLike)) and str(path) for path in paths):
        hint = 'write `["a.csv", "b.csv"]`' if port.many else 'write `"data/rows.csv"`, as seen from the project'
        raise PipelineError("%s: %r is no %s" % (what, given, "list of paths" if port.many else "path"), hint, place)
    return [str(path) for path in paths] if port.many else str(given)


def constant(port: Port, given: Any, what: str, place: Optional[Place] = None) -> Any:
    """A value that was written down, as JSON has it; raises PipelineError where it is not of the port's type."""
    value = plain(given)
    if port.kind is list and isinstance(value, (tuple, range)):
        value = list(value)
    fault = misfit(port.kind, value)
    if fault:
        raise PipelineError("%s: %s" % (what, fault), "give %s" % _A[port.kind], place)
    if MARK.search(str(value)):
        hint = "put it together in a step that returns it"
        raise PipelineError("%s: a value that is not known yet lies within %s" % (what, a(port.type)), hint, place)
    return float(value) if port.kind is float else json.loads(json.dumps(value))


_A = {
    int: "a whole number: `3`",
    float: "a number: `0.5`",
    str: 'a text: `"…"`',
    bool: "`True` or `False`",
    list: "a list of numbers, texts, lists and dicts: `[1, 2]`",
    dict: 'a dict of numbers, texts, lists and dicts: `{"depth": 3}`',
    Status: "nothing: `on_exit` fills it in",
}


def misfit(kind: Any, value: Any) -> str:
    """Say why a value is not of a parameter's type; empty where it is."""
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        return "%r is not %s" % (value, a(type_name(kind)))
    if isinstance(value, float) and not math.isfinite(value):
        return "%r is not finite, and cannot be passed on" % value
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        return "%r is not made of numbers, texts, lists and dicts: %s" % (value, error)
    return ""


def _returned(annotation: Any, what: str, place: Place) -> Dict[str, Port]:
    if annotation is None or annotation is type(None):
        return {}
    fields: "Optional[Tuple[str, ...]]" = getattr(annotation, "_fields", None)
    if fields is None:
        return {"output": _value(annotation, "what %s returns" % what, place)}
    types_of: Dict[str, Any] = typing.get_type_hints(annotation)
    names: List[str] = list(fields)
    return {name: _value(types_of.get(name, str), "%s: output `%s`" % (what, name), place) for name in names}


def _value(annotation: Any, what: str, place: Place) -> Port:
    port = kind_of(annotation, what, place)
    if not port.is_parameter or port.optional or port.kind is Status:
        hint = "write files to a parameter of type `Output[%s]`" % (port.type if not port.is_parameter else "Dataset")
        raise PipelineError("%s cannot be %s" % (what, _shown(annotation)), hint, place)
    return port


def fit(given: Optional[Port], wanted: Port, what: str, says: str) -> None:
    """Raise PipelineError where what one port gives is not what another takes."""
    if given is None:
        if not wanted.is_parameter or wanted.kind is Status:
            raise PipelineError("%s is %s, and is given %s, a value" % (what, a(wanted.type), says), _GIVE[wanted.many])
        return
    if given.many is wanted.many and _suits(given.kind, wanted.kind):
        return
    shapes = [a("list[%s]" % port.type if port.many else port.type) for port in (wanted, given)]
    hint = "give what is %s" % shapes[0]
    if wanted.many and _suits(given.kind, wanted.kind):
        hint = "call it in `with for_each(…)`, and give `collect(…)` of its output"
    elif given.kind is Artifact and not wanted.is_parameter:
        hint = "declare the output as `Output[%s]`" % wanted.type
    raise PipelineError("%s is %s, and is given %s, which is %s" % (what, shapes[0], says, shapes[1]), hint)


_GIVE = {False: "give a file or folder that a step wrote, or an argument", True: "give `collect(…)` of an output"}


def _suits(given: Any, wanted: Any) -> bool:
    if wanted in PARAMETERS or given in PARAMETERS:
        return wanted is not Status and (given is wanted or (given is int and wanted is float))
    return issubclass(given, wanted)
