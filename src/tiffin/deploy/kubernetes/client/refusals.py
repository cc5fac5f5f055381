"""What an API server says when it refuses (`metav1.Status`), as errors of ours.

Who conflicts is read from the causes of a conflict, whose words are those of k8s.io/apimachinery
(`pkg/util/managedfields/internal/conflict.go`): `conflict with "kubectl" using apps/v1`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from tiffin.errors import (
    ConfigError,
    ConflictError,
    DeniedError,
    FullError,
    NotFoundError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.network import BusyError

LONGEST_WORDS = 500
"""Characters of an answer that is no `Status`: pages of proxies are long."""

_CONFLICT, _GONE, _TOO_MANY = 409, 410, 429
_DENIED = {401, 403}
_INVALID = {400, 413, 422}
_UNSUPPORTED = {405, 406, 415, 501}
_BUSY = {408, 425, _TOO_MANY, 502, 503, 504}
_MOMENTARY = ("etcdserver: ", "rpc error: code = Unavailable")
"""What is in the words of errors 500 that pass: the store behind the server elects a leader."""
_UNTYPED = re.compile(r"failed to create typed patch object \([^)]*\): (?:\.(?P<field>[^\s:]+):)?")
"""How an apply is refused that has fields, or kinds of values, that the cluster does not know: as an error 500."""
_MANAGER = re.compile(r'conflict with ("(?:[^"\\]|\\.)*")')

_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A field (`.spec.replicas`) that somebody else has set."""

    manager: str
    field: str


class FieldConflictError(ConflictError):
    """Others have set fields to something else; `conflicts` has which, and who."""

    def __init__(self, message: str, hint: str, conflicts: tuple[Conflict, ...]) -> None:
        """Keep what happened, what to do about it, and the fields."""
        super().__init__(message, hint)
        self.conflicts = conflicts


class ExpiredError(UnavailableError):
    """The server has forgotten what was since then, or how its list went on (410)."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and with which field."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What a server adds to its words."""

    causes: tuple[Cause, ...] = ()
    retry_after: float | None = msgspec.field(name="retryAfterSeconds", default=None)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A `metav1.Status`, as far as it is of use."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: Details | None = None


def read_status(body: bytes) -> Said:
    """Read what a server says; what is no `Status`, as from a proxy before it, is its words."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(body, type=Said)
    return Said(message=body.decode(errors="replace")[:LONGEST_WORDS].strip())


def read_warnings(headers: Iterable[str]) -> list[str]:
    """Read what a server warns of: `299 - "words"` (RFC 7234, 5.5), of which several may share a header."""
    quoted = [found for header in headers for found in _WARNING.findall(header)]
    return [re.sub(r"\\(.)", r"\1", words) for words in quoted]


def refused(code: int, said: Said, where: str, pause: float | None = None) -> TiffinError:
    """Return the error that an answer means.

    `where` begins its message; `pause` is for how many seconds the server wants to be left alone.
    """
    message = (
        f"{where}: {said.message or 'the server does not say why'} ({' '.join(filter(None, (str(code), said.reason)))})"
    )
    details = said.details or Details()
    pause = details.retry_after if pause is None else pause
    if code == _CONFLICT:
        return _conflict(message, said, details.causes)
    if code in _DENIED:
        return _denied(code, message, said)
    if code in _INVALID:
        return ConfigError(message, _mend(cause.field for cause in details.causes))
    if untyped := _UNTYPED.search(said.message):
        return ConfigError(message, _mend([untyped["field"] or ""]))
    if code in _BUSY or pause is not None or any(word in said.message for word in _MOMENTARY):
        return BusyError(message, "try again; the cluster is busy, or about to start or stop", pause)
    return _other(code, message)


def _conflict(message: str, said: Said, causes: tuple[Cause, ...]) -> ConflictError:
    conflicts = tuple(
        Conflict(manager=_unquoted(found[1]), field=cause.field)
        for cause in causes
        if (found := _MANAGER.match(cause.message))
    )
    if conflicts:
        hint = "let one of you set these fields: leave them out here, have the other let go of them, or use `--force`"
        return FieldConflictError(message, hint, conflicts)
    if said.reason == "AlreadyExists":
        return ConflictError(message, "choose another name, or delete what has it")
    return ConflictError(message, "somebody else changed it meanwhile: look at it, and try again")


def _denied(code: int, message: str, said: Said) -> TiffinError:
    if code in _DENIED - {403}:
        return DeniedError(message, "the cluster does not know who asks: log in anew, or see `kubectl auth whoami`")
    if "exceeded quota" in said.message:
        return FullError(message, "ask for less, delete what is not needed, or have the namespace's quota raised")
    if "is forbidden: User" in said.message or "cannot " in said.message:
        return DeniedError(message, "have the cluster's owner give you this right (see `kubectl auth can-i --list`)")
    return DeniedError(message, "a rule of the cluster does not let it in: change what it names, or ask its owner")


def _mend(fields: Iterable[str]) -> str:
    named = ", ".join(dict.fromkeys(field for field in fields if field))
    return f"mend {named}" if named else "mend what it names"


def _other(code: int, message: str) -> TiffinError:
    if code == _GONE:
        return ExpiredError(message, "ask anew, from the beginning")
    if code == 404:  # noqa: PLR2004 - every reader knows this one
        return NotFoundError(message, "see what is there with `kubectl get all`, and whether the namespace is right")
    if code in _UNSUPPORTED:
        return UnsupportedError(message, "this cluster, or what stands before it, does not do that")
    if code in range(300, 400):
        return UnavailableError(message, "let the kubeconfig name the API server's own address: it must not redirect")
    return UnavailableError(message, "look at the cluster's own logs, and try again later")


def _unquoted(text: str) -> str:
    """Read a name as Go quotes it, which for all but odd ones is as JSON does."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=str)
    return text.strip('"')


def status_of(event: Any) -> Said:
    """Read the `Status` in an `ERROR` of a watch."""
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(event, Said)
    return Said(message=str(event)[:LONGEST_WORDS])
