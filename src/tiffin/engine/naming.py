"""What containers are called, here and by themselves. Standard library only."""

from __future__ import annotations

import itertools

TYPE_CHECKING = False  # what `typing` calls the same
if TYPE_CHECKING:
    from collections.abc import Callable


def hostname(name: str) -> str:
    """The host name of a container: its name, as far as a host name may have its letters (RFC 1123)."""
    return name.replace("_", "-").rstrip("-.") or "container"


def free_name(stem: str, taken: Callable[[str], bool]) -> str:
    """The first name of a stem, alone or with a number, that is not taken."""
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(name for name in names if not taken(name))
