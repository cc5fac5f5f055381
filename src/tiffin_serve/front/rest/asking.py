"""How a request becomes a job: how long its client waits, and what happens when the client goes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from tiffin_serve.front.batching.batches import Job, Waiter
from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError

HEADER = b"inference-timeout"
LONGEST = 10**9


def ask(
    dispatcher: Dispatcher, exchange: Exchange, call: Call, waiter: Waiter, parameters: Mapping[str, Any] | None = None
) -> Job:
    """Queue a request's call until its client's patience ends or the client goes; raises RequestError."""
    headers = exchange.headers
    seconds = seconds_of(headers, parameters) if parameters or HEADER in headers else None
    job = dispatcher.submit(call, waiter, seconds)
    exchange.abandoned = partial(dispatcher.forget, job)
    exchange.body = b""  # a large one need not wait beside the tensors that were read from it
    return job


def seconds_of(headers: Mapping[bytes, bytes], parameters: Mapping[str, Any] | None = None) -> float | None:
    """Say how many seconds a client waits, None where it does not say; raises RequestError.

    The header `Inference-Timeout` counts milliseconds; the request parameter `timeout` microseconds, as in Triton's
    scheduler, where 0 means nothing said. The shorter holds.
    """
    seconds = []
    if HEADER in headers:
        seconds.append(_header(headers[HEADER]) / 1000)
    if parameters and "timeout" in parameters:
        microseconds = parameters["timeout"]
        if type(microseconds) is not int or not 0 <= microseconds <= LONGEST * LONGEST:
            raise RequestError("parameter 'timeout': must be a whole number of microseconds")
        if microseconds:
            seconds.append(microseconds / 1_000_000)
    return min(seconds, default=None)


def _header(value: bytes) -> int:
    """Read the header; digits alone, since Python's numbers may be signed, spaced or underlined."""
    if not value.isdigit() or not 0 < len(value) < len(str(LONGEST)) or not int(value):
        raise RequestError("the header `Inference-Timeout` must be a whole number of milliseconds, at least 1")
    return int(value)
