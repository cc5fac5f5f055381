"""How a service is reached, and by whom: its Service, and the policy that closes everything else."""

from __future__ import annotations

from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import CLIENT, INSTANCE, NAME, Object, Track, labels, make
from tiffin.deploy.kubernetes.manifests.pod import ports
from tiffin.deploy.service import Template

HTTP = 80
INTERCEPTOR_NAMESPACE = "keda"
"""Where KEDA's HTTP add-on is, by its own instructions: it asks pods itself while a service may sleep."""
_PROTOCOLS = {"http": "http", "grpc": "kubernetes.io/h2c"}
_NAMESPACE = "kubernetes.io/metadata.name"


def address(track: Track, cluster: Cluster, *, whole: bool = False) -> Object:
    """One address for the ready pods of a track, or for those of the `whole` service, canary included."""
    metadata = {
        "name": track.name,
        "namespace": cluster.namespace,
        "labels": {**labels(track.service), INSTANCE: track.name},
    }
    selector = {NAME: track.service} if whole else track.selector
    reached = [_port(track.template, name) for name, _ in ports(track.template)]
    return make("v1", "Service", metadata, spec={"type": "ClusterIP", "selector": selector, "ports": reached})


def _port(template: Template, name: str) -> Object:
    protocol = {"appProtocol": _PROTOCOLS[name]} if name in _PROTOCOLS else {}
    return {"name": name, "port": service_port(template, name), "targetPort": name, **protocol}


def service_port(template: Template, name: str) -> int:
    """The number of a port of the Service: HTTP is where people look for it, and all else where the image has it."""
    return HTTP if name == "http" else template.ports[name]


def policy(name: str, templates: list[Template], cluster: Cluster, *, sleeps: bool) -> Object:
    """Close a service's pods both ways but for who may ask them, and who may read their metrics.

    Outwards they are closed but for services that are given a network.
    """
    open_ports = sorted({(number, kind) for template in templates for kind, number in template.ports.items()})
    asked = [{"port": number, "protocol": "TCP"} for number, kind in open_ports if kind != "metrics"]
    watched = [{"port": number, "protocol": "TCP"} for number, kind in open_ports if kind == "metrics"]
    ingress: list[Object] = [{"from": _clients(cluster, sleeps=sleeps), "ports": asked}] if asked else []
    if watched:
        ingress.append({"from": [_in_namespace(cluster.monitoring)], "ports": watched})
    metadata = {"name": name, "namespace": cluster.namespace, "labels": labels(name)}
    spec = {
        "podSelector": {"matchLabels": {NAME: name}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": [{}] if any(template.network != "none" for template in templates) else [],
    }
    return make("networking.k8s.io/v1", "NetworkPolicy", metadata, spec=spec)


def _clients(cluster: Cluster, *, sleeps: bool) -> list[Object]:
    """Who may ask: pods and namespaces with our label, the gateway, and what holds requests of what sleeps."""
    label = {"matchLabels": {CLIENT: "true"}}
    gateway = cluster.gateway_namespace if cluster.routes else ""
    named = [gateway, INTERCEPTOR_NAMESPACE if sleeps else ""]
    return [{"podSelector": label}, {"namespaceSelector": label}, *(_in_namespace(one) for one in named if one)]


def _in_namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}}
