"""`POST /predict`: rows in and predictions out, as JSON, CSV, JSON lines or npy."""

from __future__ import annotations

from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.rest.answers import Reply, Route, Waiting, encode, media_type, post
from tiffin_serve.front.rest.served import Served
from tiffin_serve.front.rest.streaming import Streams, form_of
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.npy import bind_npy, write_npy
from tiffin_serve.protocol.outputs import Output, as_json
from tiffin_serve.protocol.rows import MatrixReader, bind_rows, plain
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.protocol.table import write_csv
from tiffin_serve.protocol.text_rows import read_csv, read_lines

CSV, NPY = b"text/csv", b"application/x-npy"
LINES = {b"application/x-ndjson", b"application/jsonlines", b"application/jsonl"}


class People:
    """Rows for people."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._streams = Streams(served)
        self._matrix = MatrixReader(Signature())

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        return [post("/predict", self._predict)]

    def _predict(self, exchange: Exchange) -> None:
        signature = self._served.asked(exchange)
        accept = exchange.headers.get(b"accept", b"")
        form = form_of(accept)
        call = self._read(exchange, signature)
        if form is not None:
            self._streams.predict(exchange, call, form)
        else:
            waiter = (_WAITERS.get(media_type(accept)) or RowsWaiter)(exchange, signature)
            self._served.submit(exchange, call, waiter)

    def _read(self, exchange: Exchange, signature: Signature) -> Call:
        """Read rows in the form that the header Content-Type says, JSON for any other; raises RequestError."""
        kind, body = media_type(exchange.headers.get(b"content-type", b"")), exchange.body
        if kind == CSV:
            return bind_rows(read_csv(body, signature), signature)
        if kind in LINES:
            return bind_rows(read_lines(body), signature)
        if kind == NPY:
            return bind_npy(body, signature)
        if self._matrix.signature is not signature:
            self._matrix = MatrixReader(signature)
        return self._matrix.bind(body)


class RowsWaiter(Waiting, eq=False):
    """Someone who waits for plain predictions."""

    _signature: Signature

    def write(self, outputs: list[Output]) -> Reply:
        """Write predictions as JSON."""
        return encode(plain([as_json(output) for output in outputs], self._signature)), JSON


class CsvWaiter(RowsWaiter, eq=False):
    """Someone who waits for a table."""

    def write(self, outputs: list[Output]) -> Reply:
        """Write a line of names and a line a row."""
        return write_csv(outputs, self._signature), b"content-type: text/csv; charset=utf-8\r\n"


class NpyWaiter(RowsWaiter, eq=False):
    """Someone who waits for an array."""

    def write(self, outputs: list[Output]) -> Reply:
        """Write the first output."""
        if not outputs:
            raise RequestError("the model gave no output", 500)
        return write_npy(outputs[0]), b"content-type: application/x-npy\r\n"


_WAITERS = {CSV: CsvWaiter, NPY: NpyWaiter}
