"""`doctor`: what this machine can do, as findings with fixes."""

from __future__ import annotations

from tiffin.api.machine.home import Home
from tiffin.engine.clients import doctor as clients
from tiffin.engine.embedded import doctor as embedded
from tiffin.engine.findings import Finding, warning, well
from tiffin.engine.gpu_sight import gpu_sight
from tiffin.engine.gpus import Sight, kind_of, lacking
from tiffin.errors import TiffinError


def findings() -> list[Finding]:
    """Look at what containers need of this machine: the embedded engine, GPUs, then docker and podman."""
    return [*embedded.findings(Home.of().data), gpus(gpu_sight()), *clients.findings()]


def gpus(sight: Sight) -> Finding:
    """Say which GPUs containers can have; a machine without any is a machine like others."""
    try:
        error = lacking(sight)
        kind = kind_of(sight.known)
    except TiffinError as several:
        return warning("GPUs", several.message, several.hint or "")
    if error and not sight.driver and not sight.known.broken:
        return well("GPUs", "none that containers could have")
    if error:
        return warning("GPUs", error.message, error.hint or "")
    names = ", ".join(sight.known.names(kind))
    driver = f" (driver {sight.driver})" if sight.driver else ""
    return well("GPUs", f"{kind}: {names}{driver}")
