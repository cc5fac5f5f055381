"""`lock`: pin every package of a project's image."""

from __future__ import annotations

from pathlib import Path

from tiffin.api.building.projects import Checkout, make_lock
from tiffin.api.machine.home import Home


def lock(folder: Path, home: Home | None = None) -> Path:
    """Resolve the project's packages anew and return the lock's path."""
    checkout = Checkout.of(folder, needs_model=False)
    make_lock(checkout, home or Home.of())
    return checkout.lock_path
