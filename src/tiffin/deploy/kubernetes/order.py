"""In which order a cluster is sent objects, and which of those that are there are ours to remove. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiffin.deploy.kubernetes.client.cluster import MANAGER
from tiffin.deploy.kubernetes.client.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    LEASE,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
)

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Group, kind and name of an object in its namespace."""
NAME, MANAGED_BY = "app.kubernetes.io/name", "app.kubernetes.io/managed-by"
_FIRST = ("Namespace", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "PodDisruptionBudget", "Service")
_LAST = ("HTTPRoute", "InferenceService", "Deployment", "CronJob")
OURS = (DEPLOYMENT, AUTOSCALER, SERVICE, DISRUPTION_BUDGET, NETWORK_POLICY, SERVICE_ACCOUNT)
"""Kinds that every cluster has, of which a service may have objects; a namespace is never removed."""
OF_A_PIPELINE = (CRON_JOB, LEASE, NETWORK_POLICY, ROLE_BINDING, ROLE, SERVICE_ACCOUNT)
"""Kinds of which a pipeline has objects."""
OPTIONAL = (
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("http.keda.sh/v1beta1", "InterceptorRoute"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
)
"""Kinds that some clusters have."""


def in_order(objects: Iterable[Object]) -> list[Object]:
    """Sort objects so that each finds what it needs: the namespace first, and what starts pods at the end."""
    return sorted(objects, key=lambda one: (_place(one["kind"]), one["kind"], one["metadata"]["name"]))


def _place(kind: str) -> int:
    if kind in _FIRST:
        return _FIRST.index(kind)
    return len(_FIRST) + 1 + _LAST.index(kind) if kind in _LAST else len(_FIRST)


def labels_of(name: str) -> dict[str, str]:
    """The labels by which everything that belongs to a service is found again."""
    return {NAME: name, MANAGED_BY: MANAGER}


def key_of(thing: Object) -> Key:
    """Which object it is; a version of an API is only a way to look at it."""
    return thing["apiVersion"].rpartition("/")[0], thing["kind"], thing["metadata"]["name"]


def surplus(there: Iterable[Object], wanted: Iterable[Object]) -> list[Object]:
    """The objects that we once applied and that are wanted no more, in the order in which they are removed."""
    kept = {key_of(one) for one in wanted}
    return in_order(one for one in there if key_of(one) not in kept and is_ours(one))[::-1]


def is_ours(thing: Object) -> bool:
    """Say whether we applied an object: labels alone are copied by others, as KEDA does onto its autoscalers."""
    metadata = thing["metadata"]
    if metadata.get("labels", {}).get(MANAGED_BY) != MANAGER or metadata.get("ownerReferences"):
        return False
    return MANAGER in {
        one.get("manager") for one in metadata.get("managedFields", ()) if one.get("operation") == "Apply"
    }


def optional_kinds(served: frozenset[str]) -> list[tuple[str, str]]:
    """Of the kinds that some clusters have, those that this one serves."""
    return [(version, name) for version, name in OPTIONAL if f"{version.rpartition('/')[0]}/{name}" in served]


def called(thing: Object) -> str:
    """An object as people name it: `Deployment/iris`."""
    return f"{thing['kind']}/{thing['metadata']['name']}"
