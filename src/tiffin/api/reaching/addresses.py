"""Where whoever is asked by name listens: a container, or else a service of that name."""

from __future__ import annotations

from tiffin.api.containers.verbs import url_of
from tiffin.errors import ConflictError, NotFoundError


def address_of(target: str) -> str:
    """The URL of a container, of a service, or itself; raises NotFoundError, or ConflictError for what does not run."""
    if target.startswith(("http://", "https://")):
        return target
    try:
        return url_of(target)
    except NotFoundError:
        from tiffin.api.services.targets import Where
        from tiffin.api.services.verbs import is_service, status

        if not is_service(target, Where()):
            raise
        for address in status(target, Where()).addresses:
            return address
        raise ConflictError(
            f"{target} has no address yet", f"`tiffin status {target}` says what it waits for"
        ) from None
