"""The Deployment that keeps pods, and the budget for those who would evict them."""

from __future__ import annotations

import math

from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import CONTAINER, REVISION, Object, Track, labels, make
from tiffin.deploy.kubernetes.manifests.pod import pod_spec
from tiffin.deploy.service import Rollout, revision_of


def deployment(track: Track, rollout: Rollout, cluster: Cluster, replicas: int | None) -> Object:
    """Keep a track's pods; `replicas` is None where somebody else decides on their number."""
    revision = str(revision_of(track.template))
    metadata = {
        "name": track.name,
        "namespace": cluster.namespace,
        "labels": track.labels,
        "annotations": {REVISION: revision},
    }
    pod = {
        "labels": track.labels,
        "annotations": {"kubectl.kubernetes.io/default-container": CONTAINER, REVISION: revision},
    }
    spec = {
        **({} if replicas is None else {"replicas": replicas}),
        "revisionHistoryLimit": rollout.history,
        "minReadySeconds": math.ceil(rollout.ready_seconds),
        "progressDeadlineSeconds": math.ceil(rollout.progress_seconds),
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": rollout.surge, "maxUnavailable": rollout.unavailable},
        },
        "selector": {"matchLabels": track.selector},
        "template": {"metadata": pod, "spec": pod_spec(track, cluster)},
    }
    return make("apps/v1", "Deployment", metadata, spec=spec)


def budget(track: Track, cluster: Cluster) -> Object:
    """Let a node be emptied one replica at a time, and never wait for one that is not ready anyway."""
    metadata = {"name": track.name, "namespace": cluster.namespace, "labels": labels(track.service)}
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": track.selector},
    }
    return make("policy/v1", "PodDisruptionBudget", metadata, spec=spec)
