"""How to hear that a replica of an image that is not tiffin's is ready: said, or read out of the image's own check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tiffin.deploy.service import Probe

_URL = re.compile(r"https?://[^\s'\"|;&]+")
_HERE = {"localhost", "127.0.0.1", "0.0.0.0", "[::1]", "::1"}  # noqa: S104 - names that a check may call itself by
_HTTP = 80


def probe_of(ready: str, live: str, check: Mapping[str, Any] | None, port: int) -> Probe:
    """Put a probe together: what is said counts, else the path that the image's HEALTHCHECK asks on the same port.

    A HEALTHCHECK that asks in another way is not run: an open port is then enough.
    """
    return Probe(ready=ready or checked_path(check, port), live=live)


def checked_path(check: Mapping[str, Any] | None, port: int) -> str:
    """The path that a HEALTHCHECK asks its own container by HTTP (moby's image spec, "Healthcheck"); else nothing."""
    words = (check or {}).get("Test") or []
    if not isinstance(words, list) or not words or words[0] not in {"CMD", "CMD-SHELL"}:
        return ""
    for text in _URL.findall(" ".join(str(word) for word in words[1:])):
        try:
            url = urlsplit(text)
            asks_it = url.scheme == "http" and url.hostname in _HERE and (url.port or _HTTP) == port
        except ValueError:
            continue
        if asks_it:
            return (url.path or "/") + (f"?{url.query}" if url.query else "")
    return ""
