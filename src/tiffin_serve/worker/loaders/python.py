"""The user's own class, named as `module:Class`.

    class Predictor:
        inputs = {"text": ("BYTES", [-1])}         # optional; without it any input is taken
        outputs = {"length": ("INT64", [-1])}      # optional

        def load(self, path): ...                  # optional; path of the model's file or folder
        def predict(self, inputs): ...             # name -> array; gives an array, a list, or a dict of them

Rows of several requests share one `predict` when every declared tensor begins with -1, unless `batch = False`.
A `predict` that also names `parameters` is given the request's.

What its first argument is annotated with decides what it is given: one row where the type describes one, a dataclass, a
NamedTuple, a TypedDict or `dict[str, float]`; else all rows, as arrays.

    @dataclass
    class House:
        rooms: int
        area: float

    class Predictor:
        def predict(self, house: House) -> float: ...

The fields are then the inputs, and what it says it gives the outputs. `predict` may be `async`: the rows of a batch are
then predicted at the same time. It may yield: its answer is then streamed to those who ask for that.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Awaitable, Dict, Iterator, List, Optional, Sequence

from tiffin_serve.worker.loaders.row_types import RowType, output_of, row_type, values_of
from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.tensors import DTYPES, find_numpy

FORMATS = ("python",)
PREDICT = "predict"


def load(format_: str, path: str, predictor: str) -> Model:
    """Make one object of the class and let it load."""
    del format_
    module, _, name = predictor.partition(":")
    if not module or not name:
        raise ValueError("the predictor must be `module:Class`, not `%s`" % predictor)
    made = getattr(importlib.import_module(module), name)()
    loop = Loop()
    if hasattr(made, "load"):
        waiting = made.load(path)
        if inspect.isawaitable(waiting):
            loop.run(waiting)
    if not callable(getattr(made, PREDICT, None)):
        raise TypeError("%s has no method `predict`" % _place(type(made)))
    return PythonModel(made, loop)


class Loop:
    """The event loop of an async predictor, which begins when it is needed: it would not survive a fork."""

    def __init__(self) -> None:
        self._loop: Any = None

    def __del__(self) -> None:
        """Let go of what the loop holds."""
        if self._loop is not None:
            self._loop.close()

    def run(self, awaitable: "Awaitable[Any]") -> Any:
        """Wait for one thing."""

        async def wait() -> Any:
            return await awaitable

        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(wait())

    def run_all(self, awaitables: "Sequence[Awaitable[Any]]") -> "List[Any]":
        """Wait for several at the same time."""
        import asyncio

        async def wait() -> "List[Any]":
            return list(await asyncio.gather(*awaitables))

        return list(self.run(wait()))


class PythonModel:
    """An object with `predict` and, where it declares them, its inputs and outputs."""

    def __init__(self, made: Any, loop: Loop) -> None:
        self._predict, self._loop = made.predict, loop
        self._row, gives = _types(made)
        self._with_parameters = "parameters" in inspect.signature(made.predict).parameters
        self._is_async = inspect.iscoroutinefunction(made.predict) or inspect.isasyncgenfunction(made.predict)
        streams = inspect.isgeneratorfunction(made.predict) or inspect.isasyncgenfunction(made.predict)
        self._streams = streams
        inputs, outputs = _declared(made, "inputs"), _declared(made, "outputs")
        if self._row is not None and self._row.fields:
            if inputs:
                raise TypeError("%s has `inputs`, and `predict` takes a type that says them too" % _place(type(made)))
            inputs = self._row.inputs
        if self._row is not None and not outputs:
            outputs = [tensor(name, datatype, [-1]) for name, datatype in gives.items()]
        self._names = [output["name"] for output in outputs]
        rows = bool(inputs) and all(spec["shape"][:1] == [-1] for spec in [*inputs, *outputs])
        self.signature = {
            "platform": "python_predictor",
            "inputs": inputs,
            "outputs": outputs,
            "batches": rows and bool(getattr(made, "batch", True)) and not streams,
            **({"streams": True} if streams else {}),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Ask the object; an answer that is no dict is the first declared output, or `predict`."""
        if self._streams:
            answer: Any = _joined(list(self.stream(inputs, (), parameters)))
        elif self._row is not None:
            answer = self._by_row(self._row, inputs, parameters)
        else:
            answer = self._call(inputs, parameters)
            if self._is_async:
                answer = self._loop.run(answer)
        named = self._named(answer)
        missing = [name for name in self._names if name not in named]
        if missing:
            raise TypeError("`predict` did not give the declared output %s" % missing[0])
        return {name: value for name, value in named.items() if not wanted or name in wanted}

    def stream(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "Iterator[dict[str, Any]]":
        """Give each part that `predict` yields as outputs by name; one plain value is a tensor of one."""
        argument: Any = inputs
        if self._row is not None:
            rows = _rows(inputs)
            if len(rows) != 1:
                raise ValueError("send one row: its answer comes in parts")
            argument = self._row.make(**rows[0])
        parts = self._call(argument, parameters)
        if self._is_async:
            parts = self._each(parts)
        try:
            for part in parts:
                named = {name: _at_least_one(value) for name, value in self._named(part).items()}
                yield {name: value for name, value in named.items() if not wanted or name in wanted}
        finally:
            parts.close()

    def _each(self, parts: Any) -> "Iterator[Any]":
        """Step through what an async `predict` yields."""
        try:
            while True:
                try:
                    part = self._loop.run(parts.__anext__())
                except StopAsyncIteration:
                    return
                yield part
        finally:
            self._loop.run(parts.aclose())

    def _by_row(self, row: RowType, inputs: "dict[str, Any]", parameters: "dict[str, Any]") -> "dict[str, Any]":
        """Ask for each row, and put the answers together again."""
        answers = [self._call(row.make(**values), parameters) for values in _rows(inputs)]
        if self._is_async:
            answers = self._loop.run_all(answers)
        columns: Dict[str, List[Any]] = {}
        for position, answer in enumerate(answers):
            values = self._named(values_of(answer))
            if position and values.keys() != columns.keys():
                raise TypeError("`predict` gave %s for one row and %s for another" % (list(columns), list(values)))
            for name, value in values.items():
                columns.setdefault(name, []).append(value)
        return columns

    def _call(self, argument: Any, parameters: "dict[str, Any]") -> Any:
        return self._predict(argument, parameters=parameters) if self._with_parameters else self._predict(argument)

    def _named(self, answer: Any) -> "dict[str, Any]":
        if not isinstance(answer, dict):
            return {self._names[0] if self._names else PREDICT: answer}
        if list(answer) == [PREDICT] and self._names and PREDICT not in self._names:
            return {self._names[0]: answer[PREDICT]}
        return answer


def _types(made: Any) -> "tuple[Optional[RowType], Dict[str, str]]":
    """Read what `predict` takes and gives by its annotations; raises TypeError with file and line."""
    function = inspect.unwrap(getattr(made.predict, "__func__", made.predict))
    names = list(inspect.signature(made.predict).parameters)
    if not names or names == ["parameters"]:
        raise TypeError("%s takes no argument for its input" % _place(function))
    hints = {
        name: _resolved(annotation, function) for name, annotation in getattr(function, "__annotations__", {}).items()
    }
    try:
        row = row_type(hints.get(names[0]))
        return row, (output_of(hints.get("return")) if row else {})
    except TypeError as error:
        raise TypeError("%s: %s" % (_place(function), error)) from None


def _resolved(annotation: Any, function: Any) -> Any:
    """Resolve one annotation that is text; one whose names are known to type checkers only says nothing here."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(function, "__globals__", {}))  # noqa: S307 - what Python itself would do with it
    except Exception:  # noqa: BLE001 - anything may be written there
        return None


def _declared(made: Any, name: str) -> "List[Dict[str, Any]]":
    """Read `inputs` or `outputs`; raises TypeError with the line of the class."""
    found = []
    declared = getattr(made, name, None) or {}
    if not isinstance(declared, dict):
        raise TypeError("%s: `%s` is a dict of name: (datatype, shape)" % (_place(type(made)), name))
    for key, spec in declared.items():
        if not (isinstance(spec, (tuple, list)) and len(spec) == 2 and isinstance(spec[1], (tuple, list))):  # noqa: PLR2004 - datatype and shape
            raise TypeError('%s: `%s["%s"]` is not like ("FP32", [-1, 4])' % (_place(type(made)), name, key))
        if spec[0] not in DTYPES and spec[0] not in ("BF16", "BYTES"):
            known = ", ".join([*DTYPES, "BF16", "BYTES"])
            raise TypeError(
                '%s: `%s["%s"]` has the datatype %s, not one of %s' % (_place(type(made)), name, key, spec[0], known)
            )
        if not all(isinstance(size, int) and size >= -1 for size in spec[1]):
            raise TypeError('%s: `%s["%s"]` has a shape that is no list of sizes' % (_place(type(made)), name, key))
        found.append(tensor(key, *spec))
    return found


def _place(what: Any) -> str:
    """Say where something of the user's is written."""
    name = getattr(what, "__qualname__", repr(what))
    try:
        return "%s:%d: %s" % (inspect.getsourcefile(what), inspect.getsourcelines(what)[1], name)
    except (OSError, TypeError):
        return name


def _rows(inputs: "dict[str, Any]") -> "List[Dict[str, Any]]":
    """Turn columns into rows of Python's own values."""
    columns = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in inputs.items()}
    if not all(isinstance(column, list) for column in columns.values()):
        raise ValueError("each input has one value a row")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError("the inputs differ in their number of rows")
    return [
        {name: column[place] for name, column in columns.items()} for place in range(lengths.pop() if lengths else 0)
    ]


def _at_least_one(value: Any) -> Any:
    return value if getattr(value, "shape", ()) or isinstance(value, (list, tuple)) else [value]


def _joined(parts: "List[Dict[str, Any]]") -> "Dict[str, Any]":
    """Put the parts of an answer together, one after the other."""
    numpy, joined = find_numpy(), {}
    for name in parts[0] if parts else ():
        pieces = [part[name] for part in parts if name in part]
        if numpy is not None and any(hasattr(piece, "shape") for piece in pieces):
            joined[name] = numpy.concatenate([numpy.asarray(piece) for piece in pieces])
        else:
            joined[name] = [value for piece in pieces for value in piece]
    return joined
