"""Servers of a screen each that check nothing: the references for what the parts cost.

One answers in the process that it listens in. The other has the parts that Tiffin has: a front and a worker, one Unix
socket between them, and batches of whatever waits when the worker is free.
"""

from __future__ import annotations

from functools import partial

from benchmarks.serving import oip
from benchmarks.serving.cases import LR, NOOP, RF, ROW
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

NAME = "bare"
PAIR = "two processes"
_COMMON = """\
import asyncio
import sys

import httptools
import msgspec
import uvloop


class Tensor(msgspec.Struct):
    shape: list[int]
    data: list[float]


class Request(msgspec.Struct):
    inputs: list[Tensor]
    id: str = ""


HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n%b"
decode = msgspec.json.Decoder(Request).decode
encode = msgspec.json.Encoder().encode


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.parser, self.body = transport, httptools.HttpRequestParser(self), b""

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        request, self.body = decode(self.body), b""
        tensor = request.inputs[0]
        self.ask(request.id, tensor.shape, tensor.data)

    def answer(self, name, values):
        output = {"name": "predict", "datatype": "FP64", "shape": [len(values)], "data": values}
        body = encode({"model_name": "flowers", "id": name, "outputs": [output]})
        if not self.transport.is_closing():
            self.transport.write(HEAD % (len(body), body))

"""
_ONE = """\
    def ask(self, name, shape, data):
        self.answer(name, predict(np.array(data, DTYPE).reshape(shape)).tolist())


import numpy as np
from artefact import DTYPE, load

predict = load()


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
"""
_FRONT = """\
    def ask(self, name, shape, data):
        waiting.append((self, name, shape, array("d", data).tobytes()))
        if not worker.batch:
            worker.send()


class Worker(asyncio.Protocol):
    batch = ()

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def send(self):
        self.batch, rows = [], 0
        while waiting and rows < 256:
            self.batch.append(waiting.popleft())
            rows += self.batch[-1][2][0]
        if self.batch:
            data = b"".join([data for *_, data in self.batch])
            self.transport.write(struct.pack("<II", len(data), self.batch[0][2][1]) + data)

    def data_received(self, data):
        self.buffer += data
        if len(self.buffer) < 4 or len(self.buffer) < 4 + int.from_bytes(self.buffer[:4], "little"):
            return
        values, self.buffer, at = array("d", self.buffer[4:]).tolist(), b"", 0
        answered = self.batch
        self.send()
        for connection, name, shape, _ in answered:
            connection.answer(name, values[at : at + shape[0]])
            at += shape[0]


import socket
import struct
import subprocess
from array import array
from collections import deque

waiting, worker = deque(), Worker()


async def main():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([sys.executable, "work.py", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    await loop.sock_recv(ours, 1)
    await loop.create_connection(lambda: worker, sock=ours)
    server = await loop.create_server(Connection, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
"""
_WORK = """\
import socket
import struct
import sys

import numpy as np
from artefact import DTYPE, load

predict, front = load(), socket.socket(fileno=int(sys.argv[1]))
front.sendall(b"!")
while head := front.recv(8, socket.MSG_WAITALL):
    size, columns = struct.unpack("<II", head)
    rows = np.frombuffer(front.recv(size, socket.MSG_WAITALL), "<f8").reshape(-1, columns)
    values = predict(rows.astype(DTYPE, copy=False)).astype("<f8").tobytes()
    front.sendall(struct.pack("<I", len(values)) + values)
"""
_PROGRAMS = {"": {"bare.py": _COMMON + _ONE}, PAIR: {"bare.py": _COMMON + _FRONT, "work.py": _WORK}}
_SETTINGS = {
    "": "asyncio.Protocol, httptools, uvloop, msgspec, numpy; one process, no checks, no batches",
    PAIR: "the same as a front and a worker, a Unix socket between them; greedy batches of up to 256 rows, no checks",
}


def launch(job: Job, *, setting: str) -> Launch:
    """One process, or a front that starts its worker and listens when the model is loaded."""
    files = {**_PROGRAMS[setting], **FILES}
    return Launch(argv=[job.python, "bare.py", str(job.port)], files=files, environment=variables(job))


PEERS = [
    Peer(
        name=NAME,
        setting=setting,
        settings=settings,
        requirements=(*MODEL_PACKAGES, "httptools", "msgspec", "uvloop"),
        launch=partial(launch, setting=setting),
        ask=oip.ask,
        read=oip.read,
        cases=(ROW[NOOP], ROW[LR], ROW[RF]) if setting else (ROW[NOOP],),
        fast=True,
    )
    for setting, settings in _SETTINGS.items()
]
