"""From a batch to its answer: what the model gives, or why there is nothing."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
import traceback
from typing import Any

from tiffin_serve.worker.frames import FrameReader, encode
from tiffin_serve.worker.model import Model
from tiffin_serve.worker.tensors import decode
from tiffin_serve.worker.tensors import encode as encode_tensor

GRACE_SECONDS = 0.5
"""So much later than its deadline a batch ends this process, where the front could not."""


class Answers:
    """A model and how its answers are written."""

    def __init__(self, model: Model, numpy: Any) -> None:
        self._model = model
        self._numpy = numpy
        self._declared = {spec["name"]: spec["datatype"] for spec in model.signature.get("outputs", ())}
        self._streams = bool(model.signature.get("streams"))

    def give(self, connection: socket.socket, reader: FrameReader, head: "dict[str, Any]", body: memoryview) -> None:
        """Answer one batch; where it says how many seconds it may take, the kernel ends us if it takes longer.

        That works in the midst of C code too, whatever lock it holds.
        """
        seconds = head.get("seconds")
        if seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
        if head.get("stream") and self._streams:
            answer = self._stream(connection, reader, head, body)
        else:
            answer = self._predict(head, body)
        if seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
        connection.sendall(answer)

    def _predict(self, head: "dict[str, Any]", body: memoryview) -> bytes:
        began = time.perf_counter()
        try:
            inputs = decode(head["inputs"], body, self._numpy)
            outputs = self._model.predict(inputs, head.get("outputs", ()), head.get("parameters", {}))
        except Exception as error:  # noqa: BLE001 - whatever the user's model raises fails this batch only
            return _failure(head["id"], error, refused=isinstance(error, ValueError))
        try:
            specs, data = self._encode(outputs)
        except Exception as error:  # noqa: BLE001 - see above; here the model's answer is to blame, never the input
            return _failure(head["id"], error, refused=False)
        seconds = time.perf_counter() - began
        return encode({"kind": "result", "id": head["id"], "outputs": specs, "seconds": seconds}, data)

    def _stream(
        self, connection: socket.socket, reader: FrameReader, head: "dict[str, Any]", body: memoryview
    ) -> bytes:
        """Send each part when the model gives it; the result that ends them has nothing more.

        The time for each part begins anew. A front that cancels, or is gone, wants no more of them.
        """
        began, seconds = time.perf_counter(), head.get("seconds")
        try:
            inputs = decode(head["inputs"], body, self._numpy)
            model: Any = self._model  # `streams` says that it has one method more
            parts = model.stream(inputs, head.get("outputs", ()), head.get("parameters", {}))
            with contextlib.closing(parts):
                for outputs in parts:
                    specs, data = self._encode(outputs)
                    if seconds:
                        signal.setitimer(signal.ITIMER_REAL, 0)  # a front that takes no more for now is no hang of ours
                    connection.sendall(encode({"kind": "part", "id": head["id"], "outputs": specs}, data))
                    if seconds:
                        signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
                    if not reader.is_idle(0):
                        reader.read()  # all that may come before the end of an answer is that it is not wanted
                        break
        except Exception as error:  # noqa: BLE001 - see `_predict`
            return _failure(head["id"], error, refused=isinstance(error, ValueError))
        seconds = time.perf_counter() - began
        return encode({"kind": "result", "id": head["id"], "outputs": [], "seconds": seconds})

    def _encode(self, outputs: "dict[str, Any]") -> "tuple[list[dict[str, Any]], list[bytes]]":
        declared, numpy = self._declared, self._numpy
        encoded = [(name, *encode_tensor(value, declared.get(name), numpy)) for name, value in outputs.items()]
        specs = [
            {"name": name, "datatype": datatype, "shape": list(shape), "size": len(data)}
            for name, datatype, shape, data in encoded
        ]
        return specs, [data for *_, data in encoded]


def _failure(id_: int, error: Exception, *, refused: bool) -> bytes:
    lines = str(error).strip().splitlines()
    if not refused or not lines:
        message = "%s: %s" % (type(error).__name__, lines[0]) if lines else type(error).__name__
    else:
        message = lines[0]
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return encode({"kind": "failure", "id": id_, "message": message, "traceback": told, "refused": refused})
