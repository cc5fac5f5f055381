"""`doctor`: what this machine can do, as findings with fixes."""

from __future__ import annotations

from tiffin.api.home import Home
from tiffin.engine.clients import doctor as clients
from tiffin.engine.embedded import doctor as embedded
from tiffin.engine.findings import Finding


def findings() -> list[Finding]:
    """Look at what containers need of this machine: the embedded engine, then docker and podman."""
    return [*embedded.findings(Home.of().data), *clients.findings()]
