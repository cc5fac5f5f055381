"""OpenAPI 3.1 of one model: what its server answers on each of its paths, with the model's own names and examples.

Which paths there are is read from the table of routes; what is said of them stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from tiffin_serve.protocol import foreign_schemas, schemas
from tiffin_serve.protocol.examples import as_infer, as_rows, is_short
from tiffin_serve.protocol.outputs import InferOutput
from tiffin_serve.protocol.schemas import Schema
from tiffin_serve.protocol.signature import Signature

JSON, TEXT, CSV, HTML = "application/json", "text/plain", "text/csv", "text/html"
LINES, EVENTS = "application/x-ndjson", "text/event-stream"
OBJECT: Schema = {"type": "object"}
BINARY: Schema = {"description": "bytes"}
HEADERS = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
REQUEST_ID = {
    "description": "the request's name in logs: the client's own, or one of the server's",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~+/=:@-]{1,128}$"},
}
ERROR = {"$ref": "#/components/responses/Error"}


class Operation(NamedTuple):
    """What is said of a method of a path; `takes` and `gives` are schemas by media type."""

    tag: str
    summary: str
    gives: Mapping[str, Schema] = {JSON: OBJECT}
    takes: Mapping[str, Schema] | None = None
    optional: bool = False
    gone: bool = False


class Described(NamedTuple):
    """A model, as its document tells of it."""

    name: str
    version: str
    server: str
    signature: Signature
    example: list[InferOutput]
    token: bool = False


TAGS = {
    "people": "Rows in, predictions out.",
    "inference": "The Open Inference Protocol v2, as Triton, KServe and MLServer speak it.",
    "health": "Whether the server lives and the model is ready.",
    "repository": "Triton's model repository: loading and unloading the one model.",
    "tensorflow": "TensorFlow Serving's REST API, which KServe's first protocol shares.",
    "mlflow": "MLflow's scoring server.",
    "pages": "What a browser shows.",
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXTS: Mapping[str, Schema] = {TEXT: {"type": "string"}}
_PARTS: Mapping[str, Schema] = {
    EVENTS: {
        "type": "object",
        "description": "each event",
        "properties": {
            "event": {"enum": ["message", "error", "end"]},
            "data": {"type": "string", "contentMediaType": JSON},
        },
        "required": ["data"],
    },
    LINES: {"type": "string", "description": "a document a line"},
}
_ROWS: Mapping[str, Schema] = {
    JSON: _ref("Rows"),
    CSV: {"type": "string", "description": "a line a row; a first line may name the columns"},
    LINES: {"type": "string", "description": "a row a line"},
    "application/x-npy": {**BINARY, "description": "an array of NumPy"},
}
_NPY: Mapping[str, Schema] = {"application/x-npy": {**BINARY, "description": "the first output"}}
_MIXED = {"application/octet-stream": {**BINARY, "description": "JSON and then raw tensors, or one raw tensor"}}
_GENERATION = _ref("Generation")
_READY = {"ready": {"type": "boolean"}}
_HEALTH: Schema = {"type": "object", "properties": {"live": {"type": "boolean"}, **_READY}}
_MODEL_READY: Schema = {"type": "object", "properties": {"name": {"type": "string"}, **_READY}}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/predict"): Operation(
        "people", "Predict rows", {JSON: _ref("Predictions"), CSV: {"type": "string"}, **_NPY}, _ROWS
    ),
    ("GET", "/v2"): Operation("inference", "The server and what it speaks"),
    ("GET", "/v2/"): Operation("inference", "The server and what it speaks"),
    ("GET", "/v2/health/live"): Operation("health", "Whether the server lives", {JSON: _HEALTH}),
    ("GET", "/v2/health/ready"): Operation("health", "Whether requests can be answered", {JSON: _HEALTH}),
    ("GET", "/v2/models/stats"): Operation("inference", "Statistics of all models"),
    ("GET", "/v2/models/M"): Operation("inference", "The model's inputs and outputs"),
    ("GET", "/v2/models/M/ready"): Operation("health", "Whether the model is ready", {JSON: _MODEL_READY}),
    ("GET", "/v2/models/M/stats"): Operation("inference", "Statistics of the model"),
    ("POST", "/v2/models/M/infer"): Operation(
        "inference", "Infer", {JSON: _ref("InferAnswer"), **_MIXED}, {JSON: _ref("InferRequest"), **_MIXED}
    ),
    ("POST", "/v2/models/M/infer_stream"): Operation(
        "inference", "Infer, part by part", _PARTS, {JSON: _ref("InferRequest")}
    ),
    ("POST", "/v2/models/M/generate"): Operation("inference", "Generate", {JSON: OBJECT}, {JSON: _GENERATION}),
    ("POST", "/v2/models/M/generate_stream"): Operation(
        "inference", "Generate, part by part", _PARTS, {JSON: _GENERATION}
    ),
    ("POST", "/v2/repository/index"): Operation(
        "repository",
        "Which models there are",
        {JSON: {"type": "array", "items": OBJECT}},
        {JSON: {"type": "object", "properties": {"ready": {"type": "boolean"}}}},
        optional=True,
    ),
    ("POST", "/v2/repository/models/M/load"): Operation("repository", "Load the model"),
    ("POST", "/v2/repository/models/M/unload"): Operation("repository", "Unload the model"),
    ("GET", "/v1/models"): Operation("tensorflow", "Which models there are"),
    ("GET", "/v1/models/M"): Operation("tensorflow", "Whether the model is there"),
    ("GET", "/v1/models/M/metadata"): Operation("tensorflow", "The model's signature"),
    ("POST", "/v1/models/M:predict"): Operation(
        "tensorflow", "Predict rows or tensors", {JSON: OBJECT}, {JSON: _ref("PredictRequest")}
    ),
    ("POST", "/v1/models/M:classify"): Operation("tensorflow", "Not read here: tf.Example", gone=True),
    ("POST", "/v1/models/M:regress"): Operation("tensorflow", "Not read here: tf.Example", gone=True),
    ("POST", "/invocations"): Operation(
        "mlflow",
        "Predict a table or tensors",
        {JSON: {"type": "object", "properties": {"predictions": {}}}},
        {JSON: _ref("Invocation"), CSV: {"type": "string", "description": "with a line of names"}},
    ),
    ("GET", "/ping"): Operation("mlflow", "Whether requests can be answered", _TEXTS),
    ("GET", "/health"): Operation("mlflow", "Whether requests can be answered", _TEXTS),
    ("GET", "/version"): Operation("mlflow", "The server's version", _TEXTS),
    ("GET", "/"): Operation("pages", "Where to go; for browsers, a page to try the model", {JSON: OBJECT, HTML: {}}),
    ("GET", "/try"): Operation("pages", "A page to try the model", {HTML: {}}),
    ("GET", "/docs"): Operation("pages", "This document, to read", {HTML: {}}),
    ("GET", "/openapi.json"): Operation("pages", "This document"),
    ("GET", "/pages/page.css"): Operation("pages", "How the pages look", {"text/css": {}}),
    ("GET", "/pages/page.js"): Operation("pages", "What the pages do", {"text/javascript": {}}),
    ("GET", "/pages/icon.svg"): Operation("pages", "The pages' icon", {"image/svg+xml": {}}),
}

Routes = Iterable[tuple[str, str]]
"""Methods and paths."""


def document(model: Described, routes: Routes) -> dict[str, Any]:
    """Write the document of a server that has these routes."""
    paths: dict[str, dict[str, Any]] = {}
    told = [(method, path, template(path, model)) for method, path in routes if is_told(method, path)]
    for method, path, known in told:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, known, model)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": model.name,
            "version": model.version,
            "summary": f"The model {model.name}, version {model.version}, served by Tiffin {model.server}",
            "x-model": _facts(model),
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(model.signature),
            "responses": {"Error": _error()},
            "headers": {"RequestId": REQUEST_ID},
        },
    }
    return _guarded(whole) if model.token else whole


def is_told(method: str, path: str) -> bool:
    """Say whether a route belongs in a document: HEAD comes with every GET, and `*` is no path."""
    return method != "HEAD" and path.startswith("/")


def template(path: str, model: Described) -> str:
    """Give the path as `OPERATIONS` has it: M for the model, nothing for its version."""
    for prefix in ("/v2/models/", "/v1/models/", "/v2/repository/models/"):
        rest = path.removeprefix(prefix + model.name)
        if rest != path and rest[:1] in {"", "/", ":"}:
            return f"{prefix}M" + rest.removeprefix(f"/versions/{model.version}")
    return path


def _facts(model: Described) -> dict[str, Any]:
    """Tell what the page is made from."""
    facts: dict[str, Any] = msgspec.to_builtins(model.signature)
    rows = as_rows(model.example, model.signature) if is_short(model.example) else None
    return {"name": model.name, "server": model.server, **facts, "rows": rows, "example": _infer_example(model)}


def _infer_example(model: Described) -> dict[str, Any] | None:
    return as_infer(model.example) if is_short(model.example) else None


def _operation(method: str, path: str, known: str, model: Described) -> dict[str, Any]:
    said = OPERATIONS.get((method, known)) or Operation("pages", path)
    operation: dict[str, Any] = {
        "tags": [said.tag],
        "summary": said.summary,
        "operationId": _id(method, path),
        "responses": _responses(said),
    }
    if "/versions/" in path:
        operation["x-same-as"] = known.replace("models/M", f"models/{model.name}")
    elif path != "/" and path.endswith("/"):
        operation["x-same-as"] = path.rstrip("/")
    if said.gone:
        operation["deprecated"] = True
    if said.takes:
        content = {kind: _content(kind, schema, known, model) for kind, schema in said.takes.items()}
        operation["requestBody"] = {"required": not said.optional, "content": content}
        if "application/octet-stream" in said.takes:
            operation["parameters"] = [_HEADER_LENGTH]
    return operation


_HEADER_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "how much of the body is JSON, where raw tensors follow; 0 where the body is one raw tensor",
    "schema": {"type": "integer", "minimum": 0},
}


def _id(method: str, path: str) -> str:
    words = "".join([letter if letter.isalnum() else " " for letter in path]).split()
    trail = "_slash" if path.endswith("/") and words else ""
    return "_".join([method.lower(), *words]) + trail


def _responses(said: Operation) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind, schema in said.gives.items()}
    good = {"200": {"description": said.summary, "headers": HEADERS, "content": content}}
    return {**({"501": ERROR} if said.gone else good), "4XX": ERROR, "5XX": ERROR}


def _content(kind: str, schema: Schema, path: str, model: Described) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    examples = dict(_examples(kind, path, model)) if is_short(model.example) else {}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return content


def _examples(kind: str, path: str, model: Described) -> Iterator[tuple[str, Any]]:
    """Give requests that the model takes, by a name for each."""
    rows = as_rows(model.example, model.signature)
    if path.endswith(("/infer", "/infer_stream")) and kind == JSON:
        yield "tensors", as_infer(model.example)
    elif rows is None:
        return
    elif kind == JSON:
        yield from _json_examples(path, rows, model.signature)
    elif kind == LINES:
        yield "lines", "".join([msgspec.json.encode(row).decode() + "\n" for row in rows])
    elif kind == CSV:
        yield from _csv_examples(rows)


def _json_examples(path: str, rows: list[Any], signature: Signature) -> Iterator[tuple[str, Any]]:
    named = all(isinstance(row, dict) for row in rows)
    if path == "/predict":
        yield "rows", rows
        yield "rows under a name", {"rows": rows}
    elif path.endswith(":predict"):
        yield "instances", {"instances": rows}
    elif path == "/invocations":
        yield "instances", {"instances": rows}
        if named and (signature.columns or signature.is_table):
            yield "dataframe_records", {"dataframe_records": rows}
            data = [list(row.values()) for row in rows]
            yield "dataframe_split", {"dataframe_split": {"columns": list(rows[0]), "data": data}}
    elif path.endswith(("/generate", "/generate_stream")) and named:
        yield "a row", rows[0]


def _csv_examples(rows: list[Any]) -> Iterator[tuple[str, str]]:
    """Write rows of plain values by name."""
    flat = all(isinstance(row, dict) and not any(isinstance(v, list | dict) for v in row.values()) for row in rows)
    if flat:
        lines = [list(rows[0]), *[list(row.values()) for row in rows]]
        yield "table", "".join([",".join(map(_csv_cell, line)) + "\n" for line in lines])


def _csv_cell(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return '"' + text.replace('"', '""') + '"' if any(letter in text for letter in ',"\r\n') else text


def _schemas(signature: Signature) -> dict[str, Schema]:
    outputs = [schemas.tensor_out(spec) for spec in signature.outputs] or [OBJECT]
    predictions: Schema = {
        "type": "object",
        "properties": {
            "predictions": {"description": "the first output, a value a row"},
            "probabilities": {"description": "a list a row, in the order of `classes`"},
            "classes": {"const": list(signature.classes)} if signature.classes else {"type": "array"},
            "outputs": {"type": "object", "description": "the other outputs by name"},
        },
    }
    answer: Schema = {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"anyOf": outputs}},
        },
        "required": ["model_name", "outputs"],
    }
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    return {
        "Row": schemas.row(signature),
        **({"NamedRow": schemas.by_name(signature)} if signature.inputs else {}),
        "Rows": schemas.rows(signature),
        "Predictions": predictions,
        "InferRequest": schemas.infer(signature),
        "InferAnswer": answer,
        "Generation": foreign_schemas.generation(signature),
        "PredictRequest": foreign_schemas.predict(signature),
        "Invocation": foreign_schemas.invocation(signature),
        "Error": error,
    }


def _error() -> dict[str, Any]:
    return {
        "description": "What is wrong, and where",
        "headers": HEADERS,
        "content": {JSON: {"schema": _ref("Error"), "examples": {"error": {"value": {"error": "there are no rows"}}}}},
    }


def _guarded(whole: dict[str, Any]) -> dict[str, Any]:
    """Say that a token is needed, but for health."""
    whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    whole["security"] = [{"token": []}]
    for path, operations in whole["paths"].items():
        if path.startswith(("/v2/health/", "/pages/")) or path in {"/try", "/docs"}:
            for operation in operations.values():
                operation["security"] = []
    return whole
