"""The worker: load the model, tell the front about it, then predict batch after batch, or have children that do."""

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
from typing import Any, Callable, Optional

from tiffin_serve.worker import threads
from tiffin_serve.worker.answer import Answers
from tiffin_serve.worker.frames import VERSION, FrameReader, encode
from tiffin_serve.worker.loaders import load
from tiffin_serve.worker.model import Model
from tiffin_serve.worker.tensors import find_numpy
from tiffin_serve.worker.zygote import STOPS, Zygote, name_nest

SERVICE = "/opt/tiffin/service.json"
CONNECT_SECONDS = 30
IDLE_SECONDS = 1.0
"""After so long without a request, what loading left behind may be collected."""
LOAD_FAILED = 3
REFUSED = 1


def main() -> int:
    """Work until the front hangs up or the process is told to stop; returns the exit status."""
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT)  # says where every thread is, and goes on
    faulthandler.register(signal.SIGALRM, chain=True)  # the same, and then the process ends: its batch took too long
    gc.disable()  # loading makes a hundred thousand objects that stay: to look at each again and again helps nobody
    for number in STOPS:
        signal.signal(number, lambda *_: os._exit(0))  # nothing is lost while loading
    model, error = _load()
    numpy = find_numpy()  # before the hello: ready means that nothing is left to import
    if model is not None:
        return Worker(model, numpy).run()
    connection = _connect(CONNECT_SECONDS)
    if connection is not None:
        with connection:
            connection.sendall(encode({**_hello(), "error": error}))
            FrameReader(connection).read()
    return LOAD_FAILED


def _load() -> "tuple[Optional[Model], Optional[dict[str, str]]]":
    try:
        service = json.loads(Path(os.environ.get("TIFFIN_SERVICE", SERVICE)).read_bytes())
        if service.get("code"):
            sys.path.insert(0, service["code"])
        model = service["model"]
        threads.limit(model["format"], service.get("serve", {}).get("workers", 1))
        return load(model["format"], model.get("path", ""), model.get("predictor", "")), None
    except Exception as error:  # noqa: BLE001 - whatever the user's model raises is told to the front
        told = traceback.format_exc()
        sys.stderr.write(told)
        sys.stderr.flush()
        lines = str(error).strip().splitlines()
        message = "%s: %s" % (type(error).__name__, lines[0]) if lines else type(error).__name__
        return None, {"message": message, "traceback": told}


class Worker:
    """A process with a model; as a zygote it leaves the predicting to its children."""

    def __init__(self, model: Model, numpy: Any) -> None:
        self._signature = model.signature
        self._answers = Answers(model, numpy)
        self._zygote: Optional[Zygote] = None
        self._stopped = False

    def run(self, nest: str = "") -> int:
        """Serve front after front; a process that a front has started, or that was forked, ends with its first."""
        stays = "TIFFIN_WORKER_STAYS" in os.environ and not nest
        patience: Optional[float] = CONNECT_SECONDS
        while True:
            forks = "" if nest else name_nest()
            connection = _connect(patience, lambda: self._stopped)
            if connection is None:
                return 0
            status = 0
            with connection, contextlib.suppress(ConnectionError):  # a front that was killed hangs up in mid-word
                status = self._serve(connection, {"nest": nest} if nest else {"forks": forks} if forks else {})
            if status or self._stopped or not stays:
                return status
            patience = None

    def _serve(self, connection: socket.socket, origin: "dict[str, str]") -> int:
        """Present the model to one front and do what it asks; returns the exit status."""
        self._finish_on_stop(connection)
        connection.sendall(encode({**_hello(), **origin, "signature": self._signature}))
        reader = FrameReader(connection)
        answer = reader.read()
        if answer is None:
            return 0
        if answer[0].get("kind") != "welcome":
            print("tiffin: the front refused this worker: %s" % answer[0].get("message"), file=sys.stderr)  # noqa: T201 - the container's log
            return REFUSED
        gc.freeze()
        gc.enable()
        try:
            self._work(connection, reader, origin)
        finally:
            if self._zygote is not None:
                self._zygote.wait() if self._stopped else self._zygote.disown()
                self._zygote = None
        return 0

    def _work(self, connection: socket.socket, reader: FrameReader, origin: "dict[str, str]") -> None:
        tidy = "nest" in origin  # what was frozen before the fork is shared, and stays so
        while True:
            if not tidy and reader.is_idle(IDLE_SECONDS):
                _tidy()
                tidy = True
            frame = reader.read()
            if frame is None:
                return
            head, body = frame
            if head["kind"] == "batch":
                if self._zygote is not None:
                    self._zygote.disown()
                    self._zygote = None
                self._answers.give(connection, reader, head, body)
            elif head["kind"] == "fork" and "forks" in origin:
                tidy = True
                self._fork(connection, head["count"], origin["forks"])

    def _fork(self, connection: socket.socket, count: int, nest: str) -> None:
        def child() -> int:
            connection.close()
            self._zygote = None
            return self.run(nest)

        if self._zygote is None:
            self._zygote = Zygote(connection)
        if not self._stopped:
            self._zygote.fork(count, child)

    def _finish_on_stop(self, connection: socket.socket) -> None:
        """Let a signal end what can be read: a batch that has arrived is still answered, and then there is no more."""

        def stop(*_: object) -> None:
            self._stopped = True  # from now on no child is had in the place of one that ends
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
            if self._zygote is not None:
                self._zygote.stop(signal.SIGTERM)

        for number in STOPS:
            signal.signal(number, stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _hello() -> "dict[str, Any]":
    return {
        "kind": "hello",
        "version": VERSION,
        "image": os.environ.get("TIFFIN_IMAGE", ""),
        "token": os.environ.get("TIFFIN_WORKER_TOKEN", ""),
        "pid": os.getpid(),
        "instance": os.environ.get("TIFFIN_INSTANCE", ""),
    }


def _connect(patience: Optional[float], stopped: "Callable[[], bool]" = bool) -> Optional[socket.socket]:
    """Connect to the front, which in another container may start later.

    Gives None where the front that started us is gone, or we are told to stop.
    """
    deadline = None if patience is None else time.monotonic() + patience
    starter = os.environ.get("TIFFIN_FRONT_PID", "")
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(os.environ["TIFFIN_WORKER_SOCKET"])
        except OSError:
            connection.close()
            if stopped() or (starter and str(os.getppid()) != starter):
                return None
            if deadline is not None and time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return connection


def _tidy() -> None:
    """Collect what loading left in cycles, a tenth of a second's work that no first request should wait for."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
