"""Keys that detach: how they are written, and finding them in what is typed."""

from __future__ import annotations

from tiffin.errors import ConfigError

DETACH = "ctrl-p,ctrl-q"
"""The keys that detach where nobody says otherwise, as in docker."""
_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
"""What there is a ctrl key for: the bytes 0 to 31."""


def parse_keys(text: str) -> bytes:
    """Read keys as docker writes them, `ctrl-p,ctrl-q` or `ctrl-@,x`; nothing means that no keys detach."""
    return bytes(_key(word, text) for word in text.split(",")) if text else b""


def _key(word: str, text: str) -> int:
    name = word.lower().removeprefix("ctrl-")
    if len(word) == 1 and word.isascii():
        return ord(word)
    if len(name) == 1 and name != word.lower() and name in _CONTROL:
        return _CONTROL.index(name)
    raise ConfigError(f"not keys to detach with: {text!r}", "write them as `ctrl-p,ctrl-q`: letters, or ctrl- and one")


class Scanner:
    """What is typed, without the keys that detach; what may be their beginning waits for the next key."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Take what was typed; return what goes on to the program, and whether the keys were typed."""
        passed = bytearray()
        for byte in data:
            self._held += bytes([byte])
            if self._held == self._keys:
                return bytes(passed), True
            while not self._keys.startswith(self._held):
                passed.append(self._held[0])
                self._held = self._held[1:]
        return bytes(passed), False
