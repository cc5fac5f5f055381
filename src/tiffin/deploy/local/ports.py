"""Where a service listens: decided when it is first wanted, and kept for as long as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

import msgspec

from tiffin.deploy.local.booth import GRPC, HOST
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.names import NAMED, address_of
from tiffin.deploy.local.state import Kept, State
from tiffin.deploy.local.table import TABLE
from tiffin.deploy.service import Service
from tiffin.errors import ConflictError

HTTP = "http"


def listen_first(folder: Path, service: Service, taken: Collection[str]) -> dict[str, tuple[str, int]]:
    """Have the public socket and that of its name, at the image's port where that is free, else at one that is.

    Addresses that are `taken` are other services'. An image that answers gRPC has a socket for that, too.
    """
    fronts = Fronts(folder)
    fronts.end()  # of an earlier life, whose state is gone
    (folder / TABLE).unlink(missing_ok=True)
    address, port = address_of(service.name, taken), service.template.ports[HTTP]
    held = fronts.hold_any(
        [{HTTP: (HOST, public), NAMED: (address, named)} for named in (port, 0) for public in (port, 0)]
    )
    fronts.close()
    if _answers_grpc(service):
        held[GRPC] = (HOST, _listen_grpc(folder, service))
    return held


def keep_grpc(state: State, folder: Path, service: Service, kept: Kept) -> None:
    """Have a socket for gRPC, and keep where, for a service that had none and now answers that."""
    if _answers_grpc(service) and not kept.grpc_port:
        port = _listen_grpc(folder, service)
        state.change(service.name, lambda kept: msgspec.structs.replace(kept, grpc_port=port))


def _listen_grpc(folder: Path, service: Service) -> int:
    """Have a socket for gRPC beside what a service has; gives its port, the image's where that is free."""
    fronts, port = Fronts(folder), service.template.ports[GRPC]
    try:
        with contextlib.suppress(ConflictError):
            return fronts.hold_besides(GRPC, (HOST, port))
        return fronts.hold_besides(GRPC, (HOST, 0))
    finally:
        fronts.close()


def _answers_grpc(service: Service) -> bool:
    """Whether the image answers gRPC, and is tiffin's: of others a relay reaches one port."""
    return service.template.inherits and GRPC in service.template.ports
