"""Names of hosts that services of this machine are reached by, and every other place where they answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tiffin.deploy.local.booth import HOST
from tiffin.deploy.local.edge.config import HTTPS, Ports, Route
from tiffin.deploy.local.state import Kept
from tiffin.deploy.service import Service
from tiffin.errors import ConflictError, UnsupportedError


def check_host(service: Service, kept: Iterable[Kept], *, has_edge: bool) -> None:
    """Refuse a host that this machine cannot lead to the service."""
    if not has_edge:
        raise UnsupportedError(
            f"{service.name} has the host {service.host}, and this machine has no edge",
            "start the supervisor with `tiffin up --edge`, or leave `[deploy] host` out",
        )
    if "*" in service.host:
        raise UnsupportedError(f"no certificate is had here for every name of {service.host}", "name one host")
    for other in kept:
        if other.service.host == service.host and other.service.name != service.name:
            raise ConflictError(
                f"{service.host} leads to {other.service.name} already", "give one of them another host"
            )


def addresses_of(kept: Kept, edge: Ports | None) -> tuple[str, ...]:
    """Where a service answers: for everybody on this machine, at the address of its name, and at the edge."""
    service, found = kept.service, list[str]()
    probe = service.template.probe
    scheme = "http://" if service.template.inherits or probe.ready or probe.live else ""
    found.append(f"{scheme}{HOST}:{kept.port}")
    if kept.address:
        found.append(f"{scheme}{kept.address}:{kept.named_port}")
    if kept.grpc_port:
        found.append(f"grpc://{HOST}:{kept.grpc_port}")
    if service.host and edge:
        found.append(f"https://{service.host}" + ("" if edge.https == HTTPS else f":{edge.https}"))
    return tuple(found)


def routes_of(kept: Iterable[Kept]) -> list[Route]:
    """What the edge leads where: every host to the public socket of its service."""
    wanted = [one for one in kept if one.service.host and not one.desired.gone]
    return [Route(host=one.service.host, address=HOST, port=one.port) for one in wanted]
