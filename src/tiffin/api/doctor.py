"""`doctor`: what this machine can do, as findings with fixes."""

from __future__ import annotations

from tiffin.api.home import Home
from tiffin.engine.embedded import doctor
from tiffin.engine.embedded.doctor import Finding


def findings() -> list[Finding]:
    """Look at what containers need of this machine."""
    return doctor.findings(Home.of().data)
