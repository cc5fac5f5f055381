"""What it means, in plain words, that a server gave no answer."""

from __future__ import annotations

from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError


def plainly(reason: HTTPError | BaseException) -> str:
    """Say what went wrong, for people: libraries name their own classes, and the address once more."""
    if isinstance(reason, NameResolutionError):
        return "no such host is known"
    if isinstance(reason, ConnectTimeoutError) and not isinstance(reason, NewConnectionError):
        return "no connection came about in time"
    if isinstance(reason, ReadTimeoutError):
        return "it accepted the connection and did not answer in time"
    cause = getattr(reason, "original_error", None) or reason.__cause__
    if isinstance(reason, NewConnectionError) and isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(reason)
