"""A service that answers HTTP: one request after the other on a connection a thread, and what its model takes."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from tiffin.errors import ConfigError, UnavailableError
from tiffin.traffic.address import Address
from tiffin.traffic.wire import FIRST_ERROR, Answer

PREDICT = "/predict"
JSON = {"Content-Type": "application/json"}
_EXAMPLES = {"BOOL": True, "BYTES": "a"}


class TensorSpec(msgspec.Struct, frozen=True):
    """A tensor of a model by name, datatype and shape; -1 is any length (Open Inference Protocol v2)."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def cell(self) -> tuple[int, ...]:
        """The shape of one row's value: a column of `[n, 1]` has plain ones."""
        return () if self.shape[1:] == (1,) else self.shape[1:]

    def example(self, shape: tuple[int, ...]) -> object:
        """Make a value of zeros or short texts; unknown lengths become 1."""
        value: object = _EXAMPLES.get(self.datatype, 0)
        for size in reversed(shape):
            value = [value] * max(size, 1)
        return value


class ModelSpec(msgspec.Struct, frozen=True):
    """What a model says of itself (Open Inference Protocol v2, model metadata)."""

    name: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    properties: Mapping[str, str] = {}

    @property
    def columns(self) -> dict[str, str]:
        """The columns that rows may name, each with its datatype; empty where rows have no names."""
        if len(self.inputs) == 1 and self.properties.get("columns"):
            names = msgspec.json.decode(self.properties["columns"], type=list[str])
            return dict.fromkeys(names, self.inputs[0].datatype)
        if any(tensor.cell for tensor in self.inputs):
            return {}
        return {tensor.name: tensor.datatype for tensor in self.inputs}

    def example_row(self) -> object:
        """Make a row that it takes, for `/predict`; raises ConfigError where it does not say what it takes."""
        if not self.inputs:
            raise ConfigError("the model does not say what it takes", "give a request, such as `'[[1, 2]]'`")
        if len(self.inputs) == 1:
            return self.inputs[0].example(self.inputs[0].shape[1:])
        return {tensor.name: tensor.example(tensor.cell) for tensor in self.inputs}


class _Index(msgspec.Struct):
    urls: dict[str, str]


class Service:
    """Someone who answers at an address."""

    def __init__(self, address: Address, *, headers: Mapping[str, str] | None = None, seconds: float = 300) -> None:
        self.address = address
        self._headers = dict(headers or {})
        self._seconds = seconds
        self._kept = threading.local()

    def model(self) -> ModelSpec:
        """Ask what the model takes; raises UnavailableError, or ConfigError where this is no server of Tiffin's."""
        try:
            index = msgspec.json.decode(self.ask("GET", "/").body, type=_Index)
            return msgspec.json.decode(self.ask("GET", index.urls["model"]).body, type=ModelSpec)
        except (msgspec.MsgspecError, KeyError) as error:
            raise ConfigError(f"{self.address} does not say what its model takes", "is it one of Tiffin's?") from error

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask once; a connection that the server had closed meanwhile is made anew. Raises UnavailableError."""
        sent = {**(JSON if body is not None else {}), **self._headers, **(headers or {})}
        try:
            try:
                return self._exchange(method, path, body, sent)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                return self._exchange(method, path, body, sent)
        except (OSError, http.client.HTTPException) as error:
            self._forget()
            why = getattr(error, "strerror", None) or error
            raise UnavailableError(f"{self.address} does not answer: {why}", "`tiffin ps` lists what runs") from error

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = getattr(self._kept, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self.address.secure else http.client.HTTPConnection
            self._kept.connection = connection = kind(self.address.host, self.address.port, timeout=self._seconds)
        try:
            connection.request(method, self.address.base + path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.read(), not response.will_close)
        except (OSError, http.client.HTTPException):
            self._forget()
            raise

    def _forget(self) -> None:
        connection: Any = self._kept.__dict__.pop("connection", None)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def words(answer: Answer) -> str:
    """What a server says of a request that it did not answer with success."""
    try:
        return str(msgspec.json.decode(answer.body, type=dict[str, Any])["error"])
    except (msgspec.MsgspecError, KeyError):
        return answer.body[:200].decode(errors="replace")


def failed(answer: Answer) -> bool:
    """Say whether an answer is an error."""
    return answer.status >= FIRST_ERROR
