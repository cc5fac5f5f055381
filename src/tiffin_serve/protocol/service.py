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


class Serving(Document, frozen=True, kw_only=True):
    """How requests are taken and batched; `max_batch` counts rows."""

    max_batch: Count = 64
    max_delay_ms: Seconds = 2  # a bound on waiting for company; a batch leaves when a worker is free, so nothing waits
    max_body_bytes: Count = 67_108_864
    header_seconds: Seconds = 10
    drain_seconds: Seconds = 1
    load_seconds: Seconds = 600


class Service(Document, frozen=True, kw_only=True):
    """One model and how it is served; `worker` is the argument list that starts a worker."""

    schema: Literal[1] = 1
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "1"
    model: ServedModel
    code: str = ""
    worker: Annotated[list[str], Meta(min_length=1)]
    serve: Serving = Serving()


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
