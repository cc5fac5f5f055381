"""`POST /predict`: plain rows in, plain predictions out, for people.

Rows are lists (`[[5.1, 3.5], ...]`) or objects by column name (`[{"sepal length": 5.1, ...}, ...]`), by themselves or
under `rows` or `inputs`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin_serve.protocol.call import Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import MAX_RANK, InferOutput
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import explain, nest, read_values

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


def bind_rows(rows: list[Any], signature: Signature) -> Call:
    """Hold rows against the model's signature and make the call of them; raises RequestError."""
    named = isinstance(rows[0], dict)
    if not signature.inputs:
        tensors = _free(rows, named=named)
    elif (named and not signature.is_matrix) or (signature.is_table and not named):
        tensors = tuple([_column(rows, position, signature, named=named) for position in range(len(signature.inputs))])
        _refuse_unknown(rows, [spec.name for spec in signature.inputs], named=named)
    else:
        tensors = (_matrix(rows, signature, named=named),)
    return make_call(tensors, batches=signature.batches)


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


def _matrix(rows: list[Any], signature: Signature, *, named: bool) -> Tensor:
    if len(signature.inputs) > 1:
        wanted = ", ".join(f"'{spec.name}'" for spec in signature.inputs)
        raise RequestError(f"rows[0]: must be an object with {wanted}")
    (spec,) = signature.inputs
    if named:
        _refuse_unknown(rows, list(signature.columns), named=True)
        rows = [[_cell(row, place, name) for name in signature.columns] for place, row in enumerate(rows)]
    shape, data = read_values(rows, DATATYPES[spec.datatype], spec.shape, "rows")
    return Tensor(spec.name, spec.datatype, shape, data)


def _column(rows: list[Any], position: int, signature: Signature, *, named: bool) -> Tensor:
    spec, width = signature.inputs[position], len(signature.inputs)
    if named:
        cells = [_cell(row, place, spec.name) for place, row in enumerate(rows)]
    elif width == 1 and not isinstance(rows[0], list):
        cells = rows
    else:
        cells = [_at(row, place, position, width) for place, row in enumerate(rows)]
    shape = spec.shape[:1] if spec.shape == (-1, 1) else spec.shape
    found, data = read_values(cells, DATATYPES[spec.datatype], shape, f"column '{spec.name}' of rows")
    return Tensor(spec.name, spec.datatype, spec.fit(found), data)


def _cell(row: Any, place: int, name: str) -> Any:
    if not isinstance(row, dict):
        raise RequestError(f"rows[{place}]: must be an object, as the first row is")
    try:
        return row[name]
    except KeyError:
        raise RequestError(f"rows[{place}]: column '{name}' is missing") from None


def _at(row: Any, place: int, position: int, width: int) -> Any:
    if not isinstance(row, list):
        raise RequestError(f"rows[{place}]: must be a list of {width} values")
    if len(row) != width:
        raise RequestError(f"rows[{place}]: needs {width} values, not {len(row)}")
    return row[position]


def _refuse_unknown(rows: list[Any], columns: list[str], *, named: bool) -> None:
    known = set(columns)
    for place, row in enumerate(rows if named else ()):
        for name in row if isinstance(row, dict) else ():
            if name not in known:
                shown = ", ".join(f"'{column}'" for column in columns[:SHOWN])
                more = ", ..." if len(columns) > SHOWN else ""
                raise RequestError(f"rows[{place}]: unknown column '{name}'; the model takes {shown}{more}")


def _free(rows: list[Any], *, named: bool) -> tuple[Tensor, ...]:
    """Guess the tensors of a model that announces no inputs: one a column by name, or one matrix called `input`."""
    if not named:
        return (_guess("input", rows, "rows"),)
    columns = list(rows[0])
    if not columns:
        raise RequestError("rows[0]: has no columns")
    return tuple(
        [
            _guess(name, [_cell(row, place, name) for place, row in enumerate(rows)], f"column '{name}' of rows")
            for name in columns
        ]
    )


def _guess(name: str, values: list[Any], field: str) -> Tensor:
    rank, inner = 0, values
    while isinstance(inner, list):
        rank += 1
        inner = inner[0] if inner else 0.0  # type: ignore[assignment] # the innermost value
    if rank > MAX_RANK:
        raise RequestError(f"{field}: nested too deep")
    datatype = "BYTES" if isinstance(inner, str) else "BOOL" if isinstance(inner, bool) else "FP64"
    shape, data = read_values(values, DATATYPES[datatype], TensorSpec(name, datatype, (-1,) * rank).shape, field)
    return Tensor(name, datatype, shape, data)
