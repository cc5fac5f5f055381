"""Take a rollout back that does not come up, where that was asked for: what was there before is applied as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tiffin.deploy.service import Service, revision_of
from tiffin.deploy.target import Status
from tiffin.errors import CommandError, TiffinError
from tiffin.progress import note


@contextlib.contextmanager
def taking_back(
    service: Service, before: Service | None, apply: Callable[[Service, str], Status], delete: Callable[[str], None]
) -> Iterator[None]:
    """Let a failure to become available be followed by the way back, and its error say so.

    Where nothing was there before, what was made goes again. A failure that comes a second time, with the very revision
    that was there before, is left as it is: there is nothing to go back to.
    """
    try:
        yield
    except CommandError as error:
        same = before is not None and revision_of(before.template) == revision_of(service.template)
        if not service.rollout.rollback or same:
            raise
        note(f"{service.name} did not become available, and is taken back")
        raise _taken_back(service, before, error, apply, delete) from error


def _taken_back(
    service: Service,
    before: Service | None,
    error: CommandError,
    apply: Callable[[Service, str], Status],
    delete: Callable[[str], None],
) -> CommandError:
    why = str(error.hint).partition("; `tiffin rollback")[0]
    try:
        if before is None:
            delete(service.name)
            return CommandError(f"{error.message}\nit was removed again: nothing was there before", why)
        apply(before, f"taken back from {service.template.digest.short}, which did not become available")
    except TiffinError as other:
        said = f"{error.message}\nand it could not be taken back: {other.message}"
        return CommandError(said, f"`tiffin status {service.name}` shows how it is; {other.hint or why}")
    return CommandError(f"{error.message}\nit was taken back: {before.template.reference} serves as before", why)
