"""Which gRPC status says what a refused request's HTTP status says."""

from __future__ import annotations

from grpc import StatusCode

from tiffin_serve.protocol.errors import RequestError

CODES = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    413: StatusCode.RESOURCE_EXHAUSTED,
    415: StatusCode.INVALID_ARGUMENT,
    422: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}


def status_of(error: RequestError) -> StatusCode:
    """Give the status; what has none of its own is INTERNAL."""
    return CODES.get(error.status, StatusCode.INTERNAL)
