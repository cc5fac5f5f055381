"""Which kinds the server serves, and how it tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Served:
    """One kind of object."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    parts: tuple[str, ...] = ()
    """Its subresources."""

    @property
    def api_version(self) -> str:
        """The group and version as objects name it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """How errors name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES = Served("", "v1", "Namespace", "namespaces", namespaced=False, parts=("status",))
PODS = Served("", "v1", "Pod", "pods", parts=("status", "log", "exec", "portforward"))
EVENTS = Served("", "v1", "Event", "events")
DEPLOYMENTS = Served("apps", "v1", "Deployment", "deployments", parts=("status", "scale"))
JOBS = Served("batch", "v1", "Job", "jobs", parts=("status",))
CRON_JOBS = Served("batch", "v1", "CronJob", "cronjobs", parts=("status",))
LEASES = Served("coordination.k8s.io", "v1", "Lease", "leases")
REPLICA_SETS = Served("apps", "v1", "ReplicaSet", "replicasets", parts=("status", "scale"))
KINDS = (
    NAMESPACES,
    PODS,
    EVENTS,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    CRON_JOBS,
    LEASES,
    Served("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Served("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    Served("", "v1", "Service", "services", parts=("status",)),
    Served("", "v1", "ServiceAccount", "serviceaccounts"),
    Served("", "v1", "ConfigMap", "configmaps"),
    Served("", "v1", "Secret", "secrets"),
    Served("", "v1", "ResourceQuota", "resourcequotas", parts=("status",)),
    Served("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", parts=("status",)),
    Served("", "v1", "Node", "nodes", namespaced=False, parts=("status",)),
    Served("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", parts=("status",)),
    Served("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", parts=("status",)),
    Served("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
)
"""What every server has; a test adds kinds of its own."""

TOGETHER = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def resources(kinds: list[Served], api_version: str) -> dict[str, Any] | None:
    """What there is of one group and version (`APIResourceList`)."""
    found = [
        {"name": name, "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind, "verbs": _VERBS}
        for kind in kinds
        if kind.api_version == api_version
        for name in (kind.plural, *(f"{kind.plural}/{part}" for part in kind.parts))
    ]
    document = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": found}
    return document if found else None


def groups(kinds: list[Served]) -> dict[str, Any]:
    """The groups (`APIGroupList`)."""
    found = {}
    for kind in kinds:
        if kind.group:
            version = {"groupVersion": kind.api_version, "version": kind.version}
            group = found.setdefault(kind.group, {"name": kind.group, "versions": [], "preferredVersion": version})
            group["versions"] += [version] if version not in group["versions"] else []
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(found.values())}


def aggregated(kinds: list[Served], *, oldest: bool) -> dict[str, Any]:
    """All there is at once (`APIGroupDiscoveryList`): the oldest kinds, or those that have groups."""
    found: dict[str, dict[str, list[Any]]] = {}
    for kind in kinds:
        if bool(kind.group) != oldest:
            resource = {
                "resource": kind.plural,
                "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
                "scope": "Namespaced" if kind.namespaced else "Cluster",
                "singularResource": kind.kind.lower(),
                "verbs": _VERBS,
            }
            found.setdefault(kind.group, {}).setdefault(kind.version, []).append(resource)
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [{"version": version, "resources": all_} for version, all_ in versions.items()],
        }
        for group, versions in found.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}
