"""A service as a cluster's objects, in the order in which they are applied."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from tiffin.deploy.kubernetes.manifests.check import check
from tiffin.deploy.kubernetes.manifests.cluster import Canary, Cluster, can_map_users
from tiffin.deploy.kubernetes.manifests.files import kustomize, to_yaml
from tiffin.deploy.kubernetes.manifests.kserve import check_for_kserve, inference_service
from tiffin.deploy.kubernetes.manifests.monitoring import monitor
from tiffin.deploy.kubernetes.manifests.names import Object, Track
from tiffin.deploy.kubernetes.manifests.network import address, policy
from tiffin.deploy.kubernetes.manifests.place import account, namespace
from tiffin.deploy.kubernetes.manifests.route import route
from tiffin.deploy.kubernetes.manifests.scaling import autoscaler
from tiffin.deploy.kubernetes.manifests.workload import budget, deployment
from tiffin.deploy.kubernetes.security import Profile, pods, profile_of
from tiffin.deploy.service import Service

__all__ = [
    "Canary",
    "Cluster",
    "can_map_users",
    "canary_share",
    "kustomize",
    "render",
    "render_kserve",
    "to_yaml",
    "weakest_profile",
]


def render(service: Service, cluster: Cluster, canary: Canary | None = None) -> list[Object]:
    """Write down what the cluster is asked for.

    Raises ConfigError for what no cluster can make true, UnsupportedError for what this one cannot.
    """
    check(service, cluster, canary)
    sleeps = service.replicas.scales and not service.replicas.least
    templates = [service.template, *([canary.template] if canary else [])]
    objects = [
        account(service.name, cluster),
        policy(service.name, templates, cluster, sleeps=sleeps),
        *_stable(service, cluster, shared=canary is not None and not _routed(service, cluster)),
        *(_beside(service, cluster, canary) if canary else []),
        *monitor(service.name, service.template, cluster),
        *route(service, cluster, canary, sleeps=sleeps),
    ]
    return [*_place(cluster, objects), *objects]


def render_kserve(service: Service, cluster: Cluster, canary: Canary | None = None) -> list[Object]:
    """Write down the same for KServe, which makes Deployment, Service, autoscaler and route of it."""
    check_for_kserve(service)
    check(service, cluster, canary)
    objects = [account(service.name, cluster), inference_service(service, cluster, canary)]
    return [*_place(cluster, objects), *objects]


def weakest_profile(objects: Iterable[Object], version: tuple[int, int]) -> Profile:
    """Name the pod security profile that all pods of these objects meet."""
    order = list(Profile)
    return min((profile_of(pod, version) for _, pod in pods(objects)), key=order.index, default=Profile.RESTRICTED)


def canary_share(service: Service, cluster: Cluster, canary: Canary) -> float:
    """Tell the share of requests in percent that a canary will have: without a route it is that of its pods."""
    if _routed(service, cluster):
        return canary.percent
    beside = _replicas_beside(service, cluster, canary)
    return 100 * beside / (beside + max(service.replicas.least, 1))


def _routed(service: Service, cluster: Cluster) -> bool:
    return cluster.routes and bool(service.host)


def _place(cluster: Cluster, objects: list[Object]) -> list[Object]:
    return [namespace(cluster, weakest_profile(objects, cluster.version))] if cluster.makes_namespace else []


def _stable(service: Service, cluster: Cluster, *, shared: bool) -> list[Object]:
    """The revision that is there; its Service finds the canary's pods as well where no route can tell them apart."""
    track = Track(service=service.name, template=service.template)
    replicas = None if service.replicas.scales else service.replicas.least
    return [
        address(track, cluster, whole=shared),
        deployment(track, service.rollout, cluster, replicas),
        *([budget(track, cluster)] if service.replicas.most > 1 else []),
        *autoscaler(track, service.replicas, cluster, service.host),
    ]


def _beside(service: Service, cluster: Cluster, canary: Canary) -> list[Object]:
    """The canary: with an address and an autoscaler of its own where a route shares requests, else a number of pods."""
    track = Track(service=service.name, template=canary.template, canary=True)
    number = _replicas_beside(service, cluster, canary)
    if not _routed(service, cluster):
        return [deployment(track, service.rollout, cluster, number)]
    replicas = msgspec.structs.replace(service.replicas, least=number, most=max(number, service.replicas.most))
    scales = service.replicas.scales and replicas.scales
    return [
        address(track, cluster),
        deployment(track, service.rollout, cluster, None if scales else number),
        *(autoscaler(track, replicas, cluster, service.host) if scales else []),
    ]


def _replicas_beside(service: Service, cluster: Cluster, canary: Canary) -> int:
    """As many replicas as the share needs, or, without a route, as make the share; at least one."""
    stable, share = max(service.replicas.least, 1), canary.percent / 100
    if _routed(service, cluster):
        return max(math.ceil(stable * share), 1)
    return max(min(round(stable * share / (1 - share)) if share < 1 else stable, service.replicas.most), 1)
