"""Keys that detach: how they are written, and finding them in whatever is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.keys import Scanner, parse_keys
from tiffin.errors import ConfigError

KEYS = st.binary(min_size=1, max_size=4)
PIECES = st.lists(st.binary(max_size=6), max_size=8)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("ctrl-@,a,B,CTRL-]", b"\0aB\x1d"), ("ctrl-_", b"\x1f"), ("", b"")],
)
def test_keys_are_written_as_in_docker(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-1", "ctrl-", "ctrl-pp", "ab", "é", "ctrl-p,", "alt-p"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not keys to detach with"):
        parse_keys(text)


@given(KEYS, PIECES)
def test_the_keys_are_found_wherever_they_are_split(keys: bytes, pieces: list[bytes]) -> None:
    scanner, passed = Scanner(keys), b""
    typed = b"".join(pieces)
    for piece in pieces:
        more, found = scanner.feed(piece)
        passed += more
        if found:
            assert typed[: len(passed) + len(keys)] == passed + keys
            return
    assert keys not in typed
    assert typed.startswith(passed)
    assert keys.startswith(typed[len(passed) :])


@given(PIECES)
def test_without_keys_all_is_passed_on(pieces: list[bytes]) -> None:
    scanner = Scanner(b"")
    assert b"".join(scanner.feed(piece)[0] for piece in pieces) == b"".join(pieces)
