"""Why a worker was lost over a batch, and what the client of the request that did it is told."""

from __future__ import annotations

from typing import Literal

from tiffin_serve.protocol.errors import RequestError

Loss = Literal["crash", "deadline", "memory"]
"""It ended by itself, it was killed because it took too long, or the system killed it for its memory."""


def verdict(why: Loss, detail: str = "") -> RequestError:
    """Say what became of a request whose worker was lost; `detail` names the limit that was met, where there is one."""
    if why == "deadline":
        return RequestError(f"the model did not answer within {detail or 'its deadline'}", 504)
    if why == "memory":
        return RequestError(f"the model needs more memory than {detail or 'there is'} for this request", 503)
    return RequestError("the worker died twice on this request", 500)
