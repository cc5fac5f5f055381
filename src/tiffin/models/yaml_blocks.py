"""The part of YAML that MLflow and conda write: nested maps and lists of plain values, in block style.

Values stay texts. Anything else (anchors, tags, flow style with something in it) is kept as the text it is, and texts
over several lines are joined by a space, as YAML folds them.
"""

from __future__ import annotations

import re

Value = dict[str, "Value"] | list["Value"] | str
_KEY = re.compile(r"""("[^"]*"\s*|'[^']*'\s*|[^\s#"'-][^:]*|-[^\s:]+):(?:\s+(.*))?$""")
_DEEPEST = 32
_MOST_LINES = 20_000


def read_blocks(text: str) -> Value:
    """Read a document; raises ValueError where it is not of this part of YAML."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "---"))]
    if len(lines) > _MOST_LINES:
        raise ValueError("too long")
    value, rest = _block([(len(line) - len(line.lstrip()), line.strip()) for line in lines], 0)
    if rest:
        raise ValueError(f"not understood: {rest[0][1]!r}")
    return value


_Lines = list[tuple[int, str]]


def _block(lines: _Lines, depth: int) -> tuple[Value, _Lines]:
    """Read the list or map that begins here; returns it with the lines after it."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if not lines:
        return "", []
    indent = lines[0][0]
    if _is_item(lines[0][1]):
        items: list[Value] = []
        while lines and lines[0][0] == indent and _is_item(lines[0][1]):
            own, after = _owned(lines, indent, lists=False)
            items.append(_item([(indent + 2, lines[0][1][1:].strip()), *own], depth))
            lines = after
        return items, lines
    return _mapping(lines, indent, depth)


def _mapping(lines: _Lines, indent: int, depth: int) -> tuple[Value, _Lines]:
    found: dict[str, Value] = {}
    while lines and lines[0][0] == indent and (match := _KEY.match(lines[0][1])):
        text = match[2] or ""
        own, lines = _owned(lines, indent, lists=not text)
        if not text and own:
            found[_plain(match[1])], rest = _block(own, depth + 1)
            if rest:
                raise ValueError(f"not understood: {rest[0][1]!r}")
        else:
            found[_plain(match[1])] = _plain(" ".join([text, *(line for _, line in own)]))
    return found, lines


def _item(lines: _Lines, depth: int) -> Value:
    """One entry of a list: a map or a list of its own, else a text."""
    if _KEY.match(lines[0][1]) or _is_item(lines[0][1]):
        value, rest = _block(lines, depth + 1)
        if not rest:
            return value
    return _plain(" ".join(line for _, line in lines).strip())


def _owned(lines: _Lines, indent: int, *, lists: bool) -> tuple[_Lines, _Lines]:
    """Split off the lines that belong to the first: those deeper, and a list right under its key."""
    for end, (depth, text) in enumerate(lines[1:], 1):
        if depth < indent or (depth == indent and not (lists and _is_item(text))):
            return lines[1:end], lines[end:]
    return lines[1:], []


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _plain(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
    return "" if text in {"null", "~"} else text
