"""What MLflow's scoring server takes at /invocations and how it answers (MLflow 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.columnar import bind_columns, bind_instances
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.rows import bind_rows
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.protocol.tensorflow import by_row, values_of
from tiffin_serve.protocol.tensors import explain

KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Split(msgspec.Struct):
    """A table as pandas writes it with `orient="split"`; the index says nothing about the rows."""

    data: list[list[Any]]
    columns: list[Any] | None = None


class Invocation(msgspec.Struct):
    """What a client sends: one of four forms, and parameters for the model."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: Any = None
    inputs: Any = None
    params: dict[str, Any] | None = None


def read_invocation(body: bytes) -> Invocation:
    """Read a request in JSON; raises RequestError."""
    try:
        invocation = msgspec.json.decode(body, type=Invocation)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RequestError(f"{explain(error, 'request')}; send one of {', '.join(KEYS)}") from error
    if sum(getattr(invocation, key) is not None for key in KEYS) != 1:
        raise RequestError(f"request: must have exactly one of {', '.join(KEYS)}")
    return invocation


def bind_invocation(invocation: Invocation, signature: Signature) -> Call:
    """Hold a request against the model's signature and make the call of it; raises RequestError."""
    if invocation.dataframe_split is not None:
        rows = _split_rows(invocation.dataframe_split, signature)
        return _bind(rows, signature, "dataframe_split.data", invocation.params)
    if invocation.dataframe_records is not None:
        rows = list(invocation.dataframe_records)
        if len(signature.inputs) == 1 and not signature.columns and not signature.is_table:
            rows = [list(row.values()) for row in rows]
        return _bind(rows, signature, "dataframe_records", invocation.params)
    if invocation.instances is not None:
        return bind_instances(invocation.instances, signature, "instances", invocation.params)
    return bind_columns(invocation.inputs, signature, "inputs", invocation.params)


def _bind(rows: list[Any], signature: Signature, field: str, parameters: dict[str, Any] | None) -> Call:
    if not rows:
        raise RequestError(f"{field}: there are no rows")
    return bind_rows(rows, signature, field, parameters)


def _split_rows(split: Split, signature: Signature) -> list[Any]:
    """Give rows by name where both sides have names; columns that are numbers are positions."""
    columns = split.columns
    if columns is None:
        return list(split.data)
    for place, row in enumerate(split.data):
        if len(row) != len(columns):
            raise RequestError(f"dataframe_split.data[{place}]: needs {len(columns)} values, not {len(row)}")
    known = bool(signature.columns or signature.is_table or len(signature.inputs) != 1)
    if not known or all(type(column) is int for column in columns):
        return list(split.data)
    names = [str(column) for column in columns]
    return [dict(zip(names, row, strict=True)) for row in split.data]


def predictions(outputs: Sequence[Output], signature: Signature) -> dict[str, Any]:
    """Write what `predict` gives in MLflow: the labels without their probabilities, or rows by the outputs' names."""
    shown = [output for output in outputs if output.name != signature.probability] or list(outputs)
    if len(shown) == 1:
        return {"predictions": values_of(shown[0])}
    try:
        return by_row(shown)
    except RequestError:
        return {"predictions": {output.name: values_of(output) for output in shown}}
