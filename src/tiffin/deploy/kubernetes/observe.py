"""Look at a service in a cluster: all that `status_of` reads, in as few questions as there are kinds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import DEPLOYMENT, EVENT, NODE, POD, REPLICA_SET
from tiffin.deploy.kubernetes.manifests.cluster import (
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    Cluster,
    Surroundings,
    can_keep_groups,
    can_map_users,
)
from tiffin.deploy.kubernetes.order import NAME, OF_A_PIPELINE, OURS, labels_of, optional_kinds
from tiffin.deploy.kubernetes.pods import is_ready
from tiffin.deploy.kubernetes.revisions import SUFFIX, surroundings_of
from tiffin.deploy.kubernetes.status import Observed
from tiffin.errors import DeniedError, NotFoundError, TiffinError, UnsupportedError

Object = dict[str, Any]
T = TypeVar("T")
U = TypeVar("U")
ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
INFERENCE = ("serving.kserve.io/v1beta1", "InferenceService")
GATEWAY = ("gateway.networking.k8s.io/v1", "Gateway")
_TAIL = 20
"""Lines of a log that are read of a replica that is not ready."""
_MOST_LOGS = 3
"""Replicas whose logs are read: those of one revision fail alike."""


def observe(api: Api, namespace: str, name: str, *, logs: bool = True) -> Observed:
    """Look at a service; raises NotFoundError where there is none."""
    labels = labels_of(name)
    found = {one["metadata"]["name"]: one for one in api.list(DEPLOYMENT, namespace, labels)}
    if name not in found:
        raise NotFoundError(f"no service {name} in the namespace {namespace}", "`tiffin status` lists those there are")
    seen = Observed(
        name=name,
        namespace=namespace,
        deployment=found[name],
        canary=found.get(name + SUFFIX),
        replicasets=api.list(REPLICA_SET, namespace, labels),
        pods=api.list(POD, namespace, {NAME: name}),
        events=_permitted(lambda: api.list(EVENT, namespace), []),
        routed=HTTP_ROUTE in api.kinds(),
        routes=_routes(api, namespace, name),
    )
    return msgspec.structs.replace(seen, logs=last_words(api, seen)) if logs else seen


def _routes(api: Api, namespace: str, name: str) -> Sequence[Object] | None:
    """The routes of a service; None where the cluster has no such thing, or nobody may ask."""
    if HTTP_ROUTE not in api.kinds():
        return None
    try:
        return api.list(api.kind(*ROUTE), namespace, labels_of(name))
    except (DeniedError, NotFoundError):
        return None


def names(api: Api, namespace: str) -> list[str]:
    """The services of a namespace."""
    labels = {key: value for key, value in labels_of("").items() if value}
    found = {one["metadata"]["labels"].get(NAME, "") for one in api.list(DEPLOYMENT, namespace, labels)}
    return sorted(name for name in found if name)


def last_words(api: Api, seen: Observed) -> Mapping[str, Sequence[str]]:
    """The last lines of replicas that have begun and are not ready."""
    begun = [pod for pod in seen.pods if not is_ready(pod) and _begun(pod)]
    return {pod["metadata"]["name"]: _written(api, pod) for pod in begun[:_MOST_LOGS]}


def _written(api: Api, pod: Object) -> Sequence[str]:
    """The last lines of a replica; of one that was started again, what it wrote before that."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    again = any(one.get("restartCount") for one in pod["status"]["containerStatuses"])
    for previous in (True, False) if again else (False,):
        with contextlib.suppress(TiffinError):  # a container of which nothing is left
            if lines := [line.text for line in api.logs(namespace, name, tail=_TAIL, previous=previous)]:
                return lines
    return ()


def _begun(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any(one.get("restartCount") or one.get("state", {}).keys() & {"running", "terminated"} for one in statuses)


def belongings(api: Api, namespace: str, name: str) -> Iterator[Object]:
    """Every object of a service that is there, of any kind that one may have."""
    kinds = [*OURS, *(api.kind(version, kind) for version, kind in optional_kinds(api.kinds()))]
    for kind in kinds:
        try:
            yield from api.list(kind, namespace, labels_of(name))
        except DeniedError:
            if kind in OURS:
                raise


def belongings_of_a_pipeline(api: Api, namespace: str, name: str) -> Iterator[Object]:
    """Every object of a pipeline that is there."""
    for kind in OF_A_PIPELINE:
        yield from api.list(kind, namespace, labels_of(name))


def cluster_of(api: Api, namespace: str, name: str, gateway: str = "", said: Surroundings | None = None) -> Cluster:
    """What is known of a cluster before a service is rendered for it; what may not be asked is taken to be absent.

    Where nothing is `said` of it, what was said when the service was applied holds.
    """
    kinds, kept = api.kinds(), _kept(api, namespace, name)
    known = Cluster(
        version=api.version(),
        namespace=namespace,
        kinds=kinds,
        makes_namespace=_lacks_namespace(api, namespace),
        gateway=(gateway or _gateway(api, namespace, name)) if HTTP_ROUTE in kinds else "",
    )
    known = _on_nodes(known, api, kept)
    return known.having(surroundings_of(kept) if said is None else said)


def _on_nodes(cluster: Cluster, api: Api, kept: Object | None) -> Cluster:
    """What every node can do; who may not ask has a service go on as it is, and a new one do what any node can."""
    nodes = _permitted(lambda: list(api.list(NODE, "")), None)
    pod = ((kept or {}).get("spec", {}).get("template") or {}).get("spec", {})
    groups = pod.get("securityContext", {}).get("supplementalGroupsPolicy")
    return msgspec.structs.replace(
        cluster,
        user_namespaces=pod.get("hostUsers") is False if nodes is None else can_map_users(nodes),
        strict_groups=groups == "Strict" if nodes is None else can_keep_groups(nodes),
    )


def _kept(api: Api, namespace: str, name: str) -> Object | None:
    """What remembers a service: its Deployment, or what KServe makes one of."""
    kinds = [DEPLOYMENT, *([api.kind(*INFERENCE)] if INFERENCE_SERVICE in api.kinds() else [])]
    for kind in kinds:
        with contextlib.suppress(NotFoundError, DeniedError):
            return api.get(kind, namespace, name)
    return None


def _lacks_namespace(api: Api, namespace: str) -> bool:
    try:
        api.get(api.kind("v1", "Namespace"), "", namespace)
    except NotFoundError:
        return True
    except DeniedError:
        return False
    return False


def _gateway(api: Api, namespace: str, name: str) -> str:
    """The Gateway that leads to the service already, else the one of the cluster; of several none is ours to choose."""
    nothing: list[Object] = []
    for one in _permitted(lambda: api.list(api.kind(*ROUTE), namespace, labels_of(name)), nothing):
        for parent in one["spec"].get("parentRefs", [])[:1]:
            return f"{parent.get('namespace', namespace)}/{parent['name']}"
    found = _permitted(lambda: api.list(api.kind(*GATEWAY), ""), nothing)
    if len(found) != 1:
        return ""
    return f"{found[0]['metadata']['namespace']}/{found[0]['metadata']['name']}"


def _permitted(ask: Callable[[], T], default: U) -> T | U:
    """What is asked for, or what stands for it where that is not permitted or not there."""
    try:
        return ask()
    except (DeniedError, NotFoundError, TiffinError, UnsupportedError):
        return default
