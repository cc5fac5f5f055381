"""Forms of inference requests: what names, datatypes and shapes decide is worked out once for all that share them.

A client sends the same form again and again, with other values. So a request of a known form is read into its call
without holding it against the signature; one of a form that was not seen before is, and is remembered if it fits. Of a
model that takes whatever it is sent, no form is remembered, since clients could think of names without end.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tiffin_serve.protocol.binding import datatype_of
from tiffin_serve.protocol.call import Buffer, Call, CallKind
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import InferInput, InferRequest, bind
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.protocol.tensors import Reading, depth_of

MOST = 256
Key = tuple[str | tuple[int, ...], ...]


class Form(msgspec.Struct, frozen=True):
    """What requests of one form become, and how the data of each input is read."""

    kind: CallKind
    rows: int
    readings: tuple[Reading, ...]


class Forms:
    """The forms in which one model is asked."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._known: dict[Key, Form] = {}

    def __len__(self) -> int:
        return len(self._known)

    def bind(self, request: InferRequest) -> Call:
        """Make the call of a request; raises RequestError."""
        key = None if request.outputs or request.parameters else self._key(request.inputs)
        if key is None:
            return bind(request, self.signature)
        form = self._known.get(key)
        return self._learn(key, request) if form is None else self._read(form, key, request)

    def _key(self, inputs: Sequence[InferInput]) -> Key | None:
        """Tell a form from others; None where it says more, or the model has no names of its own."""
        said: list[str | tuple[int, ...]] = []
        for item in inputs:
            if item.parameters:
                return None
            said += (item.name, item.datatype, item.shape)
        return tuple(said) if self.signature.inputs else None

    def _read(self, form: Form, key: Key, request: InferRequest) -> Call:
        """Read a request of a known form; one that does not fit, as it may be nested otherwise, is bound anew."""
        inputs, readings = request.inputs, form.readings
        try:
            if len(readings) == 1:
                data: tuple[Buffer, ...] = (readings[0].read(inputs[0].data),)
            else:
                data = tuple([reading.read(item.data) for reading, item in zip(readings, inputs, strict=True)])
        except RequestError:
            return self._learn(key, request)
        return Call(form.kind, form.rows, data)

    def _learn(self, key: Key, request: InferRequest) -> Call:
        """Bind a request as if it were the only one, and remember its form unless its inputs came in another order."""
        call, inputs = bind(request, self.signature), request.inputs
        if [item.name for item in inputs] == [tensor.name for tensor in call.kind.tensors]:
            if len(self._known) >= MOST:
                self._known.clear()
            wanted = [DATATYPES[tensor.datatype] for tensor in call.kind.tensors]
            readings = [_reading(item, datatype) for item, datatype in zip(inputs, wanted, strict=True)]
            self._known[key] = Form(call.kind, call.rows, tuple(readings))
        return call


def _reading(item: InferInput, wanted: Datatype) -> Reading:
    return Reading.of(datatype_of(item), wanted, item.shape, depth_of(item.data), f"input '{item.name}'")
