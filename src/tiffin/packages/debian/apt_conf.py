"""apt's configuration as settings: `Acquire::http::Proxy "…";`, or the same in nested braces (apt.conf(5))."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r'(?P<skip>\s+|//[^\n]*|\#[^\n]*|/\*.*?\*/)|"(?P<quoted>[^"]*)"|(?P<sign>[{};])|(?P<word>[^\s"{};]+)',
    re.DOTALL,
)


def read_settings(text: str) -> dict[str, str]:
    """Return every setting by its full name in lower case; of several values the last is in force, as in apt."""
    settings: dict[str, str] = {}
    scopes: list[str] = []
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        if match["skip"]:
            continue
        sign = match["sign"]
        if sign is None:
            words.append(match["quoted"] if match["quoted"] is not None else match["word"])
            continue
        name = "::".join([*filter(None, scopes), *words[:1]]).lower()
        if sign == "{":
            scopes.append(words[0] if words else "")
        elif len(words) > 1:
            settings[name] = words[1]
        if sign == "}" and scopes:
            scopes.pop()
        words = []
    return settings
