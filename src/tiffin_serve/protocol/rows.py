"""Plain rows in, plain predictions out: what `POST /predict` and the forms of other servers are read into.

Rows are lists (`[[5.1, 3.5], ...]`) or objects by column name (`[{"sepal length": 5.1, ...}, ...]`), by themselves or
under `rows` or `inputs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from tiffin_serve.protocol.call import Call, CallKind, Tensor, TensorKind, make_call
from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import MAX_RANK
from tiffin_serve.protocol.outputs import InferOutput
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import explain, nest, pack, read_values, values_decoder

FORMS = 'send [[...], ...], [{"column": value, ...}, ...] or {"rows": ...}'
SHOWN = 5


def read_rows(body: bytes) -> list[Any]:
    """Read the rows of a body; raises RequestError that says what to send."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RequestError(f"{explain(error, 'request')}; {FORMS}") from error
    if isinstance(document, dict):
        if len(document) != 1 or not document.keys() <= {"rows", "inputs"}:
            raise RequestError(f"an object must have only `rows` (or `inputs`); {FORMS}")
        (document,) = document.values()
    if not isinstance(document, list) or not document:
        raise RequestError(f"there are no rows; {FORMS}")
    return document


class MatrixReader:
    """Reads the rows of a model that takes one matrix of numbers straight into its bytes.

    Whatever is no list of lists of numbers, each as wide as the matrix, is read as any rows are.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        spec = signature.inputs[0] if len(signature.inputs) == 1 and signature.batches else TensorSpec("", "BYTES", ())
        self._datatype = DATATYPES[spec.datatype]
        self._width = spec.shape[1] if len(spec.shape) == 2 and spec.shape[0] == -1 else 0  # noqa: PLR2004 - a matrix
        if self._datatype.kind is Kind.TEXT or spec.shape == (-1, 1):
            self._width = 0
        self._kind = CallKind((TensorKind(spec.name, spec.datatype, spec.shape[1:]),))
        self._decode = values_decoder(self._datatype, 2)

    def bind(self, body: bytes) -> Call:
        """Make the call of a body in JSON; raises RequestError."""
        width = self._width
        if width > 0:
            try:
                rows = self._decode(body)
            except (msgspec.MsgspecError, RecursionError, UnicodeError):
                rows = []
            if rows and set(map(len, rows)) == {width}:
                flat = rows[0] if len(rows) == 1 else list(chain.from_iterable(rows))
                return Call(self._kind, len(rows), (pack(flat, self._datatype, "rows"),))
        return bind_rows(read_rows(body), self.signature)


class Rows(NamedTuple):
    """Rows of plain values, at least one, and what they are called in the request.

    Where each is one text, `{"b64": ...}` is such a row and no row by names.
    """

    values: list[Any]
    field: str = "rows"
    texts: bool = False

    @property
    def named(self) -> bool:
        """Say whether values come by the names of their columns."""
        first = self.values[0]
        return isinstance(first, dict) and not (self.texts and first.keys() == {"b64"})

    def by_name(self, name: str) -> list[Any]:
        """Give a column; raises RequestError where a row lacks it."""
        return [self._cell(row, place, name) for place, row in enumerate(self.values)]

    def _cell(self, row: Any, place: int, name: str) -> Any:
        if not isinstance(row, dict):
            raise RequestError(f"{self.field}[{place}]: must be an object, as the first row is")
        try:
            return row[name]
        except KeyError:
            raise RequestError(f"{self.field}[{place}]: column '{name}' is missing") from None

    def by_position(self, position: int, width: int) -> list[Any]:
        """Give a column of so many; raises RequestError where a row has more or fewer."""
        if width == 1 and not isinstance(self.values[0], list):
            return self.values
        return [self._at(row, place, position, width) for place, row in enumerate(self.values)]

    def _at(self, row: Any, place: int, position: int, width: int) -> Any:
        if not isinstance(row, list):
            raise RequestError(f"{self.field}[{place}]: must be a list of {width} values")
        if len(row) != width:
            raise RequestError(f"{self.field}[{place}]: needs {width} values, not {len(row)}")
        return row[position]

    def refuse_unknown(self, columns: Sequence[str]) -> None:
        """Raise RequestError where a row names a column that the model does not take."""
        known = set(columns)
        for place, row in enumerate(self.values):
            for name in row if isinstance(row, dict) else ():
                if name not in known:
                    shown = ", ".join(f"'{column}'" for column in columns[:SHOWN])
                    more = ", ..." if len(columns) > SHOWN else ""
                    place_ = f"{self.field}[{place}]"
                    raise RequestError(f"{place_}: unknown column '{name}'; the model takes {shown}{more}")


def bind_rows(
    values: list[Any], signature: Signature, field: str = "rows", parameters: dict[str, Any] | None = None
) -> Call:
    """Hold rows against the model's signature and make the call of them; raises RequestError."""
    inputs = signature.inputs
    rows = Rows(values, field, len(inputs) == 1 and inputs[0].datatype == "BYTES" and inputs[0].name != "b64")
    if not signature.inputs:
        tensors = _free(rows)
    elif (rows.named and not signature.is_matrix) or (signature.is_table and not rows.named):
        if rows.named:
            rows.refuse_unknown([spec.name for spec in signature.inputs])
        tensors = tuple([_column(rows, position, signature) for position in range(len(signature.inputs))])
    else:
        tensors = (_matrix(rows, signature),)
    return make_call(tensors, batches=signature.batches, parameters=parameters)


def plain(outputs: list[InferOutput], signature: Signature) -> dict[str, Any]:
    """Give the first output as `predictions`, the probabilities with their classes, and any other output by name."""
    answer: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for position, output in enumerate(outputs):
        shape = list(output.shape)
        if len(shape) == 2 and shape[1] == 1 and output.name != signature.probability:  # noqa: PLR2004 - one value a row
            shape.pop()
        values = nest(output.data, shape) if shape else output.data
        if output.name == signature.probability and position:
            answer["probabilities"] = values
        elif position == 0:
            answer["predictions"] = values
        else:
            others[output.name] = values
    if signature.classes and "probabilities" in answer:
        answer["classes"] = signature.classes
    return answer | ({"outputs": others} if others else {})


def _matrix(rows: Rows, signature: Signature) -> Tensor:
    if len(signature.inputs) > 1:
        wanted = ", ".join(f"'{spec.name}'" for spec in signature.inputs)
        raise RequestError(f"{rows.field}[0]: must be an object with {wanted}")
    (spec,) = signature.inputs
    values = rows.values
    if rows.named:
        rows.refuse_unknown(signature.columns)
        columns = [rows.by_name(name) for name in signature.columns]
        values = [list(row) for row in zip(*columns, strict=True)]
    shape, data = read_values(values, DATATYPES[spec.datatype], spec.shape, rows.field)
    return Tensor(spec.name, spec.datatype, shape, data)


def _column(rows: Rows, position: int, signature: Signature) -> Tensor:
    spec = signature.inputs[position]
    cells = rows.by_name(spec.name) if rows.named else rows.by_position(position, len(signature.inputs))
    shape = spec.shape[:1] if spec.shape == (-1, 1) else spec.shape
    found, data = read_values(cells, DATATYPES[spec.datatype], shape, f"column '{spec.name}' of {rows.field}")
    return Tensor(spec.name, spec.datatype, spec.fit(found), data)


def _free(rows: Rows) -> tuple[Tensor, ...]:
    """Guess the tensors of a model that announces no inputs: one a column by name, or one matrix called `input`."""
    if not rows.named:
        return (guess("input", rows.values, rows.field),)
    columns = list(rows.values[0])
    if not columns:
        raise RequestError(f"{rows.field}[0]: has no columns")
    return tuple([guess(name, rows.by_name(name), f"column '{name}' of {rows.field}") for name in columns])


def guess(name: str, values: list[Any], field: str) -> Tensor:
    """Make a tensor of values whose type nobody has said; raises RequestError."""
    rank, inner = 0, values
    while isinstance(inner, list):
        rank += 1
        inner = inner[0] if inner else 0.0  # type: ignore[assignment] # the innermost value
    if rank > MAX_RANK:
        raise RequestError(f"{field}: nested too deep")
    datatype = "BYTES" if isinstance(inner, (str, dict)) else "BOOL" if isinstance(inner, bool) else "FP64"
    shape, data = read_values(values, DATATYPES[datatype], TensorSpec(name, datatype, (-1,) * rank).shape, field)
    return Tensor(name, datatype, shape, data)
