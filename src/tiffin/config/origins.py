"""What `[serve] cors` names: origins whose pages may ask the server, as browsers write them (RFC 6454, section 6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

ANY = "*"
_is_origin = re.compile(
    r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~-]+(:\d+)?|[a-z][a-z0-9+.-]*://\[[0-9a-f:]+\](:\d+)?|null"
).fullmatch


def origin_mistakes(origins: Sequence[str]) -> Iterator[str]:
    """Say which are no origins, each with its place in the file; the server would not start with them."""
    for number, origin in enumerate(origins):
        if origin != ANY and not _is_origin(origin):
            wanted = "an origin is https://host[:port] without a path, or * for all"
            yield f"'{origin}' is no origin: {wanted} - at `$.serve.cors[{number}]`"
