"""`doctor`: what this machine can do, as findings with fixes."""

from __future__ import annotations

from tiffin.api.home import Home
from tiffin.engine.embedded import doctor
from tiffin.engine.embedded.doctor import Finding, Level
from tiffin.engine.gpu_sight import gpu_sight
from tiffin.engine.gpus import Sight, kind_of, lacking
from tiffin.errors import TiffinError


def findings() -> list[Finding]:
    """Look at what containers need of this machine."""
    return [*doctor.findings(Home.of().data), gpus(gpu_sight())]


def gpus(sight: Sight) -> Finding:
    """Say which GPUs containers can have; a machine without any is a machine like others."""
    try:
        error = lacking(sight)
        kind = kind_of(sight.known)
    except TiffinError as several:
        return Finding(level=Level.WARN, subject="GPUs", message=several.message, hint=several.hint or "")
    if error:
        if not sight.driver and not sight.known.broken:
            return Finding(level=Level.OK, subject="GPUs", message="none that containers could have")
        return Finding(level=Level.WARN, subject="GPUs", message=error.message, hint=error.hint or "")
    names = ", ".join(sight.known.names(kind))
    driver = f" (driver {sight.driver})" if sight.driver else ""
    return Finding(level=Level.OK, subject="GPUs", message=f"{kind}: {names}{driver}")
