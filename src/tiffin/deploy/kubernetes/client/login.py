"""Who asks a cluster: a token or a certificate that never changes, or one that is looked up again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from tiffin.errors import DeniedError

_FRESH_SECONDS = 60.0
"""For how long a token is used before its file is read again; the kubelet replaces it long before it expires."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown to the server: a bearer token, or a client certificate with its key in PEM, or both."""

    token: str = ""
    certificate: str = ""


NOBODY = Identity()


class Login(Protocol):
    """Knows who asks."""

    def identity(self) -> Identity:
        """Return what to show to the server now."""
        ...

    def refresh(self, refused: Identity) -> bool:
        """Let go of what the server refused; whether there is any hope of something else."""
        ...


class Fixed:
    """One who has nothing to show, or always the same."""

    def __init__(self, identity: Identity = NOBODY) -> None:
        """Be this one."""
        self._identity = identity

    def identity(self) -> Identity:
        """Return it."""
        return self._identity

    def refresh(self, refused: Identity) -> bool:  # noqa: ARG002 - the seam's words
        """There is none other."""
        return False


class TokenFile:
    """One whose token is in a file that somebody replaces, such as that of a service account."""

    def __init__(self, path: Path, beside: Identity = NOBODY, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the token there, again once a minute; while the file cannot be read the last one will do."""
        self._path, self._beside, self._clock = path, beside, clock
        self._read: tuple[float, str] | None = None
        self._reading = threading.Lock()

    def identity(self) -> Identity:
        """Return the token as it was a minute ago at most."""
        with self._reading:
            if self._read is None or self._clock() - self._read[0] > _FRESH_SECONDS:
                self._read = self._clock(), self._token()
            return msgspec.structs.replace(self._beside, token=self._read[1])

    def refresh(self, refused: Identity) -> bool:
        """Look whether there is another by now."""
        with self._reading:
            self._read = self._clock(), self._token()
            return self._read[1] != refused.token

    def _token(self) -> str:
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            token, reason = "", str(getattr(error, "strerror", None) or error)
        else:
            reason = "it is empty"
        last = self._read[1] if self._read else self._beside.token
        if not (token or last):
            raise DeniedError(f"cannot read the token in {self._path}: {reason}", "put a token there, in one line")
        return token or last
