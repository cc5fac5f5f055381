"""A server of sixty lines in one process, without a check of anything: the reference for what the parts cost."""

from __future__ import annotations

from benchmarks.serving import oip
from benchmarks.serving.cases import NOOP, ROW
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

NAME = "bare"
PROGRAM = """\
import asyncio
import sys

import httptools
import msgspec
import numpy as np
import uvloop
from artefact import DTYPE, load

predict = load()


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
        values = predict(np.array(tensor.data, DTYPE).reshape(tensor.shape))
        output = {"name": "predict", "datatype": "FP64", "shape": values.shape, "data": values.ravel().tolist()}
        body = encode({"model_name": "flowers", "id": request.id, "outputs": [output]})
        self.transport.write(HEAD % (len(body), body))


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
"""


def launch(job: Job) -> Launch:
    """One process."""
    files = {"bare.py": PROGRAM, **FILES}
    return Launch(argv=[job.python, "bare.py", str(job.port)], files=files, environment=variables(job))


PEERS = [
    Peer(
        name=NAME,
        setting="",
        settings="asyncio.Protocol, httptools, uvloop, msgspec, numpy; one process, no checks, no batches",
        requirements=(*MODEL_PACKAGES, "httptools", "msgspec", "uvloop"),
        launch=launch,
        ask=oip.ask,
        read=oip.read,
        cases=(ROW[NOOP],),
        fast=True,
    )
]
