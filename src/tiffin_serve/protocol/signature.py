"""What a model takes and gives, as its worker announces it."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.errors import RequestError


class TensorSpec(msgspec.Struct, frozen=True):
    """A tensor by name, datatype and shape; -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def fit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape as the model wants it; `[n]` may stand for `[n, 1]`; raises RequestError."""
        if self.shape == (-1, 1) and len(shape) == 1:
            return (*shape, 1)
        if len(shape) != len(self.shape) or any(
            want not in {-1, have} for want, have in zip(self.shape, shape, strict=True)
        ):
            raise RequestError(f"input '{self.name}': shape {list(shape)} does not fit {list(self.shape)}")
        return shape


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A model's inputs and outputs; one without inputs takes whatever it is sent.

    `columns` name the features of a single matrix input, so that rows may come by name. `classes` are the labels that
    the columns of the output `probability` stand for. `batches` says that rows of several requests may share one call,
    `streams` that the model yields its answer in parts.
    """

    platform: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    columns: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()
    probability: str = ""
    batches: bool = False
    streams: bool = False

    @property
    def is_table(self) -> bool:
        """Say whether every input is one column of a table."""
        return bool(self.inputs) and all(spec.shape in {(-1,), (-1, 1)} for spec in self.inputs)

    @property
    def is_matrix(self) -> bool:
        """Say whether all named columns are in one input."""
        return bool(self.columns) and len(self.inputs) == 1

    @property
    def properties(self) -> dict[str, str]:
        """What a model's metadata says besides: lists are JSON, since the protocol has a map of text to text."""
        known = {"columns": self.columns, "classes": self.classes}
        return {name: msgspec.json.encode(values).decode() for name, values in known.items() if values}

    def check(self) -> None:
        """Raise ValueError where a worker announced a datatype that does not exist."""
        for spec in (*self.inputs, *self.outputs):
            if spec.datatype not in DATATYPES:
                raise ValueError(f"tensor '{spec.name}' has the unknown datatype {spec.datatype}")
