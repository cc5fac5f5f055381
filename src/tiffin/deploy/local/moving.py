"""A service that goes on with another engine: a revision that differs in nothing else. Pure."""

from __future__ import annotations

import msgspec

from tiffin.deploy.service import Service, Template
from tiffin.errors import ConflictError, UnsupportedError


def moved_to(service: Service, engine: str, usual: str) -> Template:
    """The template of a service on another engine; the `usual` one is called by no name in it.

    Raises ConflictError where that one runs it, UnsupportedError for what only the engine that runs it has.
    """
    name, template = service.name, service.template
    called = "" if engine == usual else engine
    if template.engine == called:
        raise ConflictError(f"{engine} runs {name} already", f"`tiffin history {name}` says which engine ran it when")
    if volumes := [data.source for data in template.data if not data.source.startswith("/")]:
        raise UnsupportedError(
            f"{name} has volumes, which each engine has of its own: {', '.join(volumes)}",
            "name a folder in `[deploy] data` instead; every engine reads the same",
        )
    return msgspec.structs.replace(template, engine=called)


def staying(service: Service, before: Service) -> Service:
    """With the engine that runs it now, where none is said: a deployment moves nothing."""
    if service.template.engine:
        return service
    template = msgspec.structs.replace(service.template, engine=before.template.engine)
    return msgspec.structs.replace(service, template=template)
