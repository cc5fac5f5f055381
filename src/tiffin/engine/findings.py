"""What `doctor` says of a machine: findings, each with what to do about it."""

from __future__ import annotations

from enum import Enum

import msgspec


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about this machine; `hint` is what to do where it is not well."""

    level: Level
    subject: str
    message: str
    hint: str = ""


def well(subject: str, message: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(level=Level.OK, subject=subject, message=message)


def warning(subject: str, message: str, hint: str) -> Finding:
    """A finding that limits something."""
    return Finding(level=Level.WARN, subject=subject, message=message, hint=hint)
