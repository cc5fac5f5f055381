"""Where a service lives and as whom: its namespace, where that is ours to make, and an account that may do nothing."""

from __future__ import annotations

from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import MANAGED_BY, MANAGER, Object, labels, make
from tiffin.deploy.kubernetes.security import Profile

_LEVEL = "pod-security.kubernetes.io/"


def namespace(cluster: Cluster, profile: Profile) -> Object:
    """Make the namespace refuse what is less safe than `profile`, and warn of what is not restricted."""
    version = f"v{cluster.version[0]}.{cluster.version[1]}"
    rules = {
        f"{_LEVEL}enforce": profile.value,
        f"{_LEVEL}enforce-version": version,
        f"{_LEVEL}warn": Profile.RESTRICTED.value,
        f"{_LEVEL}warn-version": version,
    }
    return make("v1", "Namespace", {"name": cluster.namespace, "labels": {MANAGED_BY: MANAGER, **rules}})


def account(service: str, cluster: Cluster) -> Object:
    """An account without rights, whose token no pod gets, and which pulls images with the namespace's Secrets."""
    metadata = {"name": service, "namespace": cluster.namespace, "labels": labels(service)}
    secrets = {"imagePullSecrets": [{"name": name} for name in cluster.pull_secrets]} if cluster.pull_secrets else {}
    return make("v1", "ServiceAccount", metadata, automountServiceAccountToken=False, **secrets)
