"""How requests from outside come in, and how they are shared between a revision and its canary (Gateway API)."""

from __future__ import annotations

import math

from tiffin.deploy.kubernetes.manifests.cluster import Canary, Cluster
from tiffin.deploy.kubernetes.manifests.names import Object, Track, labels, make
from tiffin.deploy.kubernetes.manifests.network import INTERCEPTOR_NAMESPACE, service_port
from tiffin.deploy.kubernetes.manifests.pod import MARGIN, main_port
from tiffin.deploy.service import Service

HEADER = "X-Tiffin-Canary"
"""Whoever sends it as `true` is answered by the canary, whatever its share."""
_GRPC_PATHS = ("/inference.GRPCInferenceService", "/grpc.health.v1.Health")
_LONGEST = 99_999
"""Seconds, in the five digits that a route has for them."""
_WHOLE = 1000
"""All of the requests, so that a share may be told to a tenth of a percent."""
_INTERCEPTOR = {"name": "keda-add-ons-http-interceptor-proxy", "namespace": INTERCEPTOR_NAMESPACE, "port": 8080}


def route(service: Service, cluster: Cluster, canary: Canary | None, *, sleeps: bool) -> list[Object]:
    """Lead a host's requests from the gateway to the service, where it has a host."""
    if not service.host:
        return []
    gateway = {"name": cluster.gateway.rpartition("/")[2], "namespace": cluster.gateway_namespace}
    spec = {
        "parentRefs": [gateway],
        "hostnames": [service.host],
        "rules": [_to_interceptor(service)] if sleeps else _rules(service, canary),
    }
    metadata = {"name": service.name, "namespace": cluster.namespace, "labels": labels(service.name)}
    return [make("gateway.networking.k8s.io/v1", "HTTPRoute", metadata, spec=spec)]


def _rules(service: Service, canary: Canary | None) -> list[Object]:
    """One rule for each path and header: a gateway takes the longest path first, and then the most headers."""
    rules = _split(service, canary, ("/",), main_port(service.template))
    return [*rules, *_split(service, canary, _GRPC_PATHS, "grpc")] if "grpc" in service.template.ports else rules


def _split(service: Service, canary: Canary | None, paths: tuple[str, ...], port: str) -> list[Object]:
    """Lead paths to a port of the service, and of the canary where it has that port."""
    stable: Object = {"name": service.name, "port": service_port(service.template, port)}
    if canary is None or port not in canary.template.ports:
        return [_rule(service, paths, [stable])]
    track = Track(service=service.name, template=canary.template, canary=True)
    other: Object = {"name": track.name, "port": service_port(canary.template, port)}
    share = round(canary.percent * 10)
    shared = [{**stable, "weight": _WHOLE - share}, {**other, "weight": share}]
    asked = [{"type": "Exact", "name": HEADER, "value": "true"}]
    return [_rule(service, paths, [other], headers=asked), _rule(service, paths, shared)]


def _rule(
    service: Service, paths: tuple[str, ...], backends: list[Object], headers: list[Object] | None = None
) -> Object:
    asked = {"headers": headers} if headers else {}
    matches = [{"path": {"type": "PathPrefix", "value": path}, **asked} for path in paths]
    return {"matches": matches, "backendRefs": backends, **_timeouts(service.template.deadline_seconds)}


def _to_interceptor(service: Service) -> Object:
    """A service that may sleep is asked through what holds its requests; the namespace of that has to allow it."""
    seconds = service.template.deadline_seconds and service.template.deadline_seconds + service.template.load_seconds
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    return {"matches": matches, "backendRefs": [_INTERCEPTOR], **_timeouts(seconds)}


def _timeouts(seconds: float) -> Object:
    """Longer than the server's own deadline, whose answer says more than a gateway's."""
    return {"timeouts": {"request": f"{min(math.ceil(seconds) + MARGIN, _LONGEST)}s"}} if seconds else {}
