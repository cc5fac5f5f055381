"""Replicas of images that are not tiffin's: each has a port of its own on this machine, which a relay connects to."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from tiffin.deploy.local.state import Kept, Known
from tiffin.deploy.local.table import Upstream
from tiffin.deploy.service import Service, Template
from tiffin.engine.spec import Container, State, Status
from tiffin.errors import ConflictError, UnsupportedError

PORT = "dev.tiffin.port"
"""The label that says on which port of the machine a replica was told to listen."""
HOST = "127.0.0.1"
FINISH_SECONDS = 30.0
"""So long may connections to a replica take that is to go, as Kubernetes lets them by default."""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


def upstream_of(template: Template, labels: Mapping[str, str], state: State, *, draining: bool) -> Upstream | None:
    """Where a replica is reached; None where it is not, since it has not been started or has ended."""
    if state.status is not Status.RUNNING or not state.pid:
        return None
    inner = int(labels.get(PORT, "0")) or template.ports["http"]
    bound = [port.host_port for port in state.ports if port.container_port == inner]
    port = inner if PORT in labels else next(iter(bound), 0)
    return Upstream(host=HOST, port=port, pid=state.pid, inner=inner, draining=draining) if port else None


def reached(
    known: Iterable[Known], replicas: Iterable[tuple[int, Container, State]], stopping: set[str]
) -> dict[int, dict[str, Upstream]]:
    """Where all replicas of a service are reached, by revision and name; those told to stop get nobody more."""
    templates = {one.number: one.template for one in known}
    found: dict[int, dict[str, Upstream]] = {number: {} for number in templates}
    for revision, container, state in replicas:
        name, template = container.spec.name, templates.get(revision)
        if template is None:
            continue
        if upstream := upstream_of(template, container.spec.labels, state, draining=name in stopping):
            found[revision][name] = upstream
    return found


def check_kind(service: Service, kept: Kept | None) -> None:
    """Refuse what a relay cannot do for a service, and one that would need another front than it has."""
    inherits = service.template.inherits
    if not inherits and service.replicas.warm:
        raise UnsupportedError(
            f"{service.template.image} is no image of tiffin's, and only those sleep warm",
            "leave `warm` out of `[deploy] replicas`",
        )
    if kept is not None and kept.service.template.inherits != inherits:
        raise ConflictError(
            f"{service.name} is a service of another kind: requests of the one are answered, of the other relayed",
            f"`tiffin delete {service.name}` first, or give this one another `--name`",
        )
