"""What schemathesis is told of the server: how bodies that are no JSON are sent, and what JSON Schema cannot say.

`SCHEMATHESIS_HOOKS` names this module.
"""

from __future__ import annotations

import re
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.openapi.checks import RejectedPositiveData

JSON = "application/json"
RAW = "Inference-Header-Content-Length"
UNSAID = [
    re.compile(pattern)
    for pattern in (
        r"^input '[^']*': (shape .* needs|data is nested|the nested lists)",  # the shape beside its data
        r"expected `(int|float)` [<>]= ",  # the range of a datatype beside its data
        r"expected `int`, got `float`|must be a whole number",  # to JSON Schema, 1.0 is an integer
        r"^dataframe_split\.data\[\d+\]: needs \d+ values",  # columns beside rows
        r"differ in (length|their number of rows)$",
    )
]
"""Refusals of what is right by the schema, which has no words for how one part of a request depends on another."""


@schemathesis.serializer("application/x-ndjson", "text/csv", "application/x-npy", "application/octet-stream")
def as_it_is(_: Any, value: Any) -> Any:
    """Send text and bytes as they were made up."""
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_failure(_: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Say whether a failure is one: no schema says which text is a row, or how long the JSON of a mixed body is."""
    if isinstance(failure, ServerError) and response.status_code == 504:
        return False  # the request itself says how few microseconds it waits
    if not isinstance(failure, AcceptedNegativeData | RejectedPositiveData):
        return True
    if case.media_type not in {None, JSON} or RAW in (case.headers or {}):
        return False
    if isinstance(failure, RejectedPositiveData) and response.status_code == 400:
        return not any(pattern.search(response.json()["error"]) for pattern in UNSAID)
    return True
