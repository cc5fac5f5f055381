"""Forms of inference requests: what names, datatypes and shapes decide is worked out once for all that share them.

A client sends the same form again and again, with other values. So a request of a known form is read into its call
without holding it against the signature; one of a form that was not seen before is, and is remembered if it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tiffin_serve.protocol.binding import datatype_of
from tiffin_serve.protocol.call import Call, CallKind
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype
from tiffin_serve.protocol.infer import NO_DATA, InferInput, InferRequest, bind
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.protocol.tensors import Reading, depth_of

MOST = 256


class Form(NamedTuple):
    """What requests of one form become, and how the data of each input is read."""

    kind: CallKind
    rows: int
    readings: tuple[Reading, ...]


class Forms:
    """The forms in which one model is asked."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._known: dict[tuple[object, ...], Form] = {}

    def __len__(self) -> int:
        return len(self._known)

    def bind(self, request: InferRequest) -> Call:
        """Make the call of a request; raises RequestError."""
        inputs = request.inputs
        key = None if request.outputs or request.parameters else _key(inputs)
        if key is None:
            return bind(request, self.signature)
        form = self._known.get(key)
        if form is None:
            return self._learn(key, request)
        kind, rows, readings = form
        if len(inputs) == 1:
            return Call(kind, rows, (readings[0].read(inputs[0].data),))
        return Call(
            kind, rows, tuple([reading.read(item.data) for reading, item in zip(readings, inputs, strict=True)])
        )

    def _learn(self, key: tuple[object, ...], request: InferRequest) -> Call:
        """Bind a request as if it were the only one, and remember its form unless its inputs came in another order."""
        call, inputs = bind(request, self.signature), request.inputs
        if [item.name for item in inputs] == [tensor.name for tensor in call.kind.tensors]:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = Form(call.kind, call.rows, _readings(inputs, call.kind))
        return call


def _key(inputs: Sequence[InferInput]) -> tuple[object, ...] | None:
    """Tell a form from others; None where inputs say more than names, datatypes and shapes."""
    key: list[object] = []
    for item in inputs:
        if item.parameters or item.data is NO_DATA:
            return None
        key += (item.name, item.datatype, depth_of(item.data), *item.shape)
    return tuple(key)


def _readings(inputs: Sequence[InferInput], kind: CallKind) -> tuple[Reading, ...]:
    wanted = [DATATYPES[tensor.datatype] for tensor in kind.tensors]
    return tuple([_reading(item, datatype) for item, datatype in zip(inputs, wanted, strict=True)])


def _reading(item: InferInput, wanted: Datatype) -> Reading:
    return Reading.of(datatype_of(item), wanted, tuple(item.shape), depth_of(item.data), f"input '{item.name}'")
