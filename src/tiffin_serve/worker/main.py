"""The worker: load the model, tell the front about it, then predict batch after batch."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Optional

from tiffin_serve.worker.frames import VERSION, FrameReader, encode
from tiffin_serve.worker.loaders import load
from tiffin_serve.worker.model import Model
from tiffin_serve.worker.tensors import decode, find_numpy
from tiffin_serve.worker.tensors import encode as encode_tensor

SERVICE = "/opt/tiffin/service.json"
CONNECT_SECONDS = 30
IDLE_SECONDS = 1.0
"""After so long without a request, what loading left behind may be collected."""
LOAD_FAILED = 3


def main() -> int:
    """Work until the front hangs up or the process is told to stop; returns the exit status."""
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT)  # says where every thread is, and goes on
    gc.disable()  # loading makes a hundred thousand objects that stay: to look at each again and again helps nobody
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # nothing is lost while loading
    model, error = _load()
    numpy = find_numpy()  # before the hello: ready means that nothing is left to import
    with _connect(os.environ["TIFFIN_WORKER_SOCKET"]) as connection:
        _finish_batch_on_stop(connection)
        connection.sendall(encode(_hello(model, error)))
        reader = FrameReader(connection)
        answer = reader.read()
        if model is None or answer is None:
            return LOAD_FAILED if model is None else 0
        if answer[0].get("kind") != "welcome":
            print("tiffin: the front refused this worker: %s" % answer[0].get("message"), file=sys.stderr)  # noqa: T201 - the container's log
            return 1
        gc.freeze()
        gc.enable()
        _work(connection, reader, model, numpy)
    return 0


def _load() -> "tuple[Optional[Model], Optional[dict[str, str]]]":
    try:
        service = json.loads(Path(os.environ.get("TIFFIN_SERVICE", SERVICE)).read_bytes())
        if service.get("code"):
            sys.path.insert(0, service["code"])
        model = service["model"]
        return load(model["format"], model.get("path", ""), model.get("predictor", "")), None
    except Exception as error:  # noqa: BLE001 - whatever the user's model raises is told to the front
        told = traceback.format_exc()
        sys.stderr.write(told)
        sys.stderr.flush()
        return None, {"message": _sentence(error), "traceback": told}


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return "%s: %s" % (type(error).__name__, lines[0]) if lines else type(error).__name__


def _connect(path: str) -> socket.socket:
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError:  # a front in another container may start later
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return connection


def _finish_batch_on_stop(connection: socket.socket) -> None:
    """Let a signal end what can be read: a batch that has arrived is still answered, and then there is no more."""

    def stop(*_: object) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RD)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _hello(model: Optional[Model], error: "Optional[dict[str, str]]") -> "dict[str, Any]":
    hello = {
        "kind": "hello",
        "version": VERSION,
        "image": os.environ.get("TIFFIN_IMAGE", ""),
        "token": os.environ.get("TIFFIN_WORKER_TOKEN", ""),
        "pid": os.getpid(),
    }
    return {**hello, "error": error} if model is None else {**hello, "signature": model.signature}


def _work(connection: socket.socket, reader: FrameReader, model: Model, numpy: Any) -> None:
    declared = {spec["name"]: spec["datatype"] for spec in model.signature.get("outputs", ())}
    tidy = False
    while True:
        if not tidy and reader.is_idle(IDLE_SECONDS):
            _tidy()
            tidy = True
        frame = reader.read()
        if frame is None:
            return
        connection.sendall(_answer(model, declared, frame, numpy))


def _tidy() -> None:
    """Collect what loading left in cycles, a tenth of a second's work that no first request should wait for."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _answer(model: Model, declared: "dict[str, str]", frame: "tuple[dict[str, Any], memoryview]", numpy: Any) -> bytes:
    head, body = frame
    began = time.perf_counter()
    try:
        inputs = decode(head["inputs"], body, numpy)
        outputs = model.predict(inputs, head.get("outputs", ()), head.get("parameters", {}))
    except Exception as error:  # noqa: BLE001 - whatever the user's model raises fails this batch only
        return _failure(head["id"], error, refused=isinstance(error, ValueError))
    try:
        encoded = [(name, *encode_tensor(value, declared.get(name), numpy)) for name, value in outputs.items()]
    except Exception as error:  # noqa: BLE001 - see above; here the model's answer is to blame, never the input
        return _failure(head["id"], error, refused=False)
    specs = [
        {"name": name, "datatype": datatype, "shape": list(shape), "size": len(data)}
        for name, datatype, shape, data in encoded
    ]
    seconds = time.perf_counter() - began
    return encode(
        {"kind": "result", "id": head["id"], "outputs": specs, "seconds": seconds}, [data for *_, data in encoded]
    )


def _failure(id_: int, error: Exception, *, refused: bool) -> bytes:
    lines = str(error).strip().splitlines()
    message = lines[0] if refused and lines else _sentence(error)
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return encode({"kind": "failure", "id": id_, "message": message, "traceback": told, "refused": refused})
