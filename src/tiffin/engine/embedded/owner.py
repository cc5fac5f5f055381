"""Whose files are copied; apart from the copying, which brings archives along and no container's start needs."""

from __future__ import annotations

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose files they are: a container by its name, and the user and group on this machine to become, if any."""

    name: str
    become: tuple[int, int] | None
