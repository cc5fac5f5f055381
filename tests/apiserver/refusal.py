"""What the server says when it refuses, word for word as a real one does."""

from __future__ import annotations

from typing import Any

from apiserver.served import Served


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer that is a `Status`."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }
        super().__init__(message)


def absent(kind: Served, name: str) -> Refusal:
    """There is none by that name."""
    return Refusal(
        404, "NotFound", f'{kind.qualified} "{name}" not found', name=name, group=kind.group, kind=kind.plural
    )


def no_such_place() -> Refusal:
    """Nothing is served there."""
    return Refusal(404, "NotFound", "the server could not find the requested resource")


def taken(kind: Served, name: str) -> Refusal:
    """The name is taken."""
    return Refusal(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', name=name, kind=kind.plural)


def modified(kind: Served, name: str) -> Refusal:
    """Somebody has changed it meanwhile."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return Refusal(409, "Conflict", f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}', name=name)


def other(kind: Served, name: str, what: str, wanted: str, found: str) -> Refusal:
    """It is not the one that was meant."""
    why = f"the {what} in the precondition ({wanted}) does not match the {what} in record ({found})"
    return Refusal(409, "Conflict", f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}', name=name)


def invalid(kind: Served, name: str, causes: list[tuple[str, str, str]]) -> Refusal:
    """Fields (reason, words, field) have values that they may not have."""
    listed = [{"reason": reason, "message": words, "field": field} for reason, words, field in causes]
    parts = [f"{field}: {words}" for _, words, field in causes]
    said = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    full = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    message = f'{full} "{name}" is invalid: {said}'
    return Refusal(422, "Invalid", message, name=name, group=kind.group, kind=kind.kind, causes=listed)


def forbidden(kind: Served, name: str, user: str, verb: str, namespace: str) -> Refusal:
    """One may not do that."""
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    what = f'User "{user}" cannot {verb} resource "{kind.plural}" in API group "{kind.group}"{where}'
    subject = f' "{name}"' if name else ""
    return Refusal(403, "Forbidden", f"{kind.qualified}{subject} is forbidden: {what}", name=name, kind=kind.plural)


def not_admitted(kind: Served, name: str, why: str) -> Refusal:
    """A rule of the cluster is against it, such as a quota."""
    return Refusal(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', name=name, kind=kind.plural)


def unauthorized() -> Refusal:
    """Nobody knows who asks."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def expired(words: str = "The resourceVersion for the provided watch is too old.") -> Refusal:
    """What happened since then is forgotten."""
    return Refusal(410, "Expired", words)
