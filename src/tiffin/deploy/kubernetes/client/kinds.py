"""Kinds of objects, and where an API server keeps each."""

from __future__ import annotations

import msgspec


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of object: `apps`, `v1`, `Deployment`, which is kept under `deployments`; the oldest have no group."""

    group: str = ""
    version: str = "v1"
    name: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The group and version as objects name it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def known_as(self) -> str:
        """Group and kind: `apps/Deployment`, `Pod`."""
        return f"{self.group}/{self.name}" if self.group else self.name

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Where the server keeps all of them, those of a namespace, one of them, or a part of that."""
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        rest = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root_of(self.api_version)}{place}/{self.plural}{rest}"


def root_of(api_version: str) -> str:
    """Where the server keeps a group and version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


DEPLOYMENT = Kind(group="apps", name="Deployment", plural="deployments")
REPLICA_SET = Kind(group="apps", name="ReplicaSet", plural="replicasets")
POD = Kind(name="Pod", plural="pods")
SERVICE = Kind(name="Service", plural="services")
SERVICE_ACCOUNT = Kind(name="ServiceAccount", plural="serviceaccounts")
CONFIG_MAP = Kind(name="ConfigMap", plural="configmaps")
SECRET = Kind(name="Secret", plural="secrets")
EVENT = Kind(name="Event", plural="events")
NAMESPACE = Kind(name="Namespace", plural="namespaces", namespaced=False)
NODE = Kind(name="Node", plural="nodes", namespaced=False)
RESOURCE_QUOTA = Kind(name="ResourceQuota", plural="resourcequotas")
AUTOSCALER = Kind(group="autoscaling", version="v2", name="HorizontalPodAutoscaler", plural="horizontalpodautoscalers")
DISRUPTION_BUDGET = Kind(group="policy", name="PodDisruptionBudget", plural="poddisruptionbudgets")
NETWORK_POLICY = Kind(group="networking.k8s.io", name="NetworkPolicy", plural="networkpolicies")
CRON_JOB = Kind(group="batch", name="CronJob", plural="cronjobs")
JOB = Kind(group="batch", name="Job", plural="jobs")
LEASE = Kind(group="coordination.k8s.io", name="Lease", plural="leases")
ROLE = Kind(group="rbac.authorization.k8s.io", name="Role", plural="roles")
ROLE_BINDING = Kind(group="rbac.authorization.k8s.io", name="RoleBinding", plural="rolebindings")

BUILT_IN = {
    (kind.api_version, kind.name): kind
    for kind in (
        *(DEPLOYMENT, REPLICA_SET, POD, SERVICE, SERVICE_ACCOUNT, CONFIG_MAP, SECRET, EVENT, NAMESPACE, NODE),
        *(RESOURCE_QUOTA, AUTOSCALER, DISRUPTION_BUDGET, NETWORK_POLICY),
        *(CRON_JOB, JOB, LEASE, ROLE, ROLE_BINDING),
    )
}
"""Kinds that every cluster has, for which nobody need be asked."""
