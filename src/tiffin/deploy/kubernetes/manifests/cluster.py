"""What is known of a cluster before anything is rendered for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tiffin.deploy.service import Template

OLDEST = (1, 30)
"""The first version whose kubelet sleeps before a stop by itself: an image without a shell has no `sleep`."""
HTTP_ROUTE = "gateway.networking.k8s.io/HTTPRoute"
INFERENCE_SERVICE = "serving.kserve.io/InferenceService"
INTERCEPTOR_ROUTE = "http.keda.sh/InterceptorRoute"
METRICS_OF_PODS = "custom.metrics.k8s.io/MetricValueList"
SCALED_OBJECT = "keda.sh/ScaledObject"
SERVICE_MONITOR = "monitoring.coreos.com/ServiceMonitor"
ADDONS = {
    "custom-metrics": (METRICS_OF_PODS,),
    "gateway-api": (HTTP_ROUTE,),
    "keda": (SCALED_OBJECT,),
    "keda-http": (SCALED_OBJECT, INTERCEPTOR_ROUTE),
    "prometheus-operator": (SERVICE_MONITOR,),
}
"""What some clusters have beyond their core, with the kinds of it that are rendered."""

_IDMAPPED_TMPFS = (6, 3)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever deploys says of a cluster that it does not say itself: see `Cluster`."""

    prometheus: str = ""
    monitoring: str = "monitoring"
    monitor_labels: dict[str, str] = {}
    pull_secrets: tuple[str, ...] = ()


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as far as objects are fitted to it.

    `kinds` are what it serves beyond its core, as "group/Kind". `makes_namespace` says that the namespace is not there
    and is ours to make. `gateway` is the Gateway that routes join, as "namespace/name"; `prometheus` is where KEDA asks
    for numbers; `monitoring` is the namespace that may read metrics, and `monitor_labels` are those by which its
    Prometheus chooses what it reads. `pull_secrets` are Secrets of the namespace with
    which images are pulled, and `user_namespaces` says that every node can give a pod ids of its own; `strict_groups`
    that none is known that would refuse a pod for its own groups alone.
    """

    version: tuple[int, int] = (1, 36)
    namespace: str = "default"
    kinds: frozenset[str] = frozenset()
    makes_namespace: bool = False
    gateway: str = ""
    prometheus: str = ""
    monitoring: str = "monitoring"
    monitor_labels: dict[str, str] = {}
    pull_secrets: tuple[str, ...] = ()
    user_namespaces: bool = False
    strict_groups: bool = True

    @property
    def surroundings(self) -> Surroundings:
        """What was said of it."""
        return Surroundings(**{name: getattr(self, name) for name in Surroundings.__struct_fields__})

    def having(self, said: Surroundings) -> Cluster:
        """The same cluster with what is said of it."""
        return msgspec.structs.replace(self, **msgspec.structs.asdict(said))

    @property
    def routes(self) -> bool:
        """Whether requests can be routed by weight and header."""
        return HTTP_ROUTE in self.kinds and bool(self.gateway)

    @property
    def gateway_namespace(self) -> str:
        """Where the Gateway is; in the service's own namespace where none is named."""
        return self.gateway.rpartition("/")[0] or self.namespace


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A revision beside the one that is there, and the share of requests it is to have, in percent."""

    template: Template
    percent: float


def can_map_users(nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether every node can give a pod user ids of its own, whatever the pod mounts; no node is no promise.

    The runtime says so itself; the kernel has to map ids on tmpfs too, where Secrets are (Linux 6.3).
    """
    found = [node.get("status", {}) for node in nodes]
    return bool(found) and all(_runtime_maps(status) and _kernel_maps(status) for status in found)


def can_keep_groups(nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether no node refuses pods with `supplementalGroupsPolicy: Strict`, as those of containerd before 2.0 do."""
    return all((node.get("status", {}).get("features") or {}).get("supplementalGroupsPolicy") for node in nodes)


def _runtime_maps(status: Mapping[str, Any]) -> bool:
    handlers = status.get("runtimeHandlers") or ()
    return any((one.get("features") or {}).get("userNamespaces") for one in handlers if not one.get("name"))


def _kernel_maps(status: Mapping[str, Any]) -> bool:
    version = re.match(r"(\d+)\.(\d+)", (status.get("nodeInfo") or {}).get("kernelVersion", ""))
    return version is not None and (int(version[1]), int(version[2])) >= _IDMAPPED_TMPFS
