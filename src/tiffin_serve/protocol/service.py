"""`service.json`: what to load and how to serve it.

The tool writes this document from a struct of its own; `spec/service.schema.json` is what the two share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every part of the document shares: unknown fields are refused."""


class ServedModel(Document, frozen=True, kw_only=True):
    """Which loader reads which file; `predictor` is `module:Class` for the format `python`."""

    format: Annotated[str, Meta(min_length=1)]
    path: str = ""
    predictor: str = ""


class Check(Document, frozen=True, kw_only=True):
    """A request that is answered before the server is ready, and what its answer must be within the tolerance.

    Paths of files in the image; without `expect` any answer without an error will do.
    """

    request: Annotated[str, Meta(min_length=1)]
    expect: str = ""
    tolerance: Seconds = 1e-5


class Serving(Document, frozen=True, kw_only=True):
    """How requests are taken and batched; `max_batch` counts rows, `queue` requests that may wait.

    `compress` has long answers leave compressed for clients that read it. `cors` lists the origins whose pages may ask;
    with `auth` "bearer" every request but health needs the token.
    """

    workers: Count = 1
    max_batch: Count = 64
    max_delay_ms: Seconds = 2  # a bound on waiting for company while the worker is idle; 0 never waits
    max_body_bytes: Count = 67_108_864
    header_seconds: Seconds = 10
    drain_seconds: Seconds = 1
    load_seconds: Seconds = 600
    deadline_ms: Annotated[float, Meta(gt=0)] = 30_000
    queue: Count = 16_384
    grpc: bool = False
    access_log: bool = False
    compress: bool = False
    cors: list[str] = []
    auth: Literal["none", "bearer"] = "none"


class Service(Document, frozen=True, kw_only=True):
    """One model and how it is served; `worker` is the argument list that starts a worker.

    `baseline` is the path of what is known of the training data (spec/baseline.schema.json), or empty.
    """

    schema: Literal[1] = 1
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "1"
    model: ServedModel
    code: str = ""
    worker: Annotated[list[str], Meta(min_length=1)]
    serve: Serving = Serving()
    checks: list[Check] = []
    baseline: str = ""


def read(path: Path) -> Service:
    """Read the document; raises OSError, or ValueError that names the file and the place in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Service)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def json_schema() -> bytes:
    """Write the document's JSON Schema, as committed in `spec/service.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "service.json",
        **msgspec.json.schema(Service),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
