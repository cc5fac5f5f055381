"""What a pipeline may do on its cluster: keep one Lease, and what its steps do with services of its namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tiffin.deploy.kubernetes.client.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET, Kind
from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import Object, labels, make
from tiffin.deploy.kubernetes.order import OURS, optional_kinds
from tiffin.deploy.kubernetes.scheduled.pipeline import ScheduledPipeline

_KEEPS = ["create", "delete", "get", "list", "patch", "watch"]
_READS = ["get", "list", "watch"]
_AUTHORIZATION = "rbac.authorization.k8s.io"


def rights(pipeline: ScheduledPipeline, cluster: Cluster) -> list[Object]:
    """A Role of the pipeline's own, and what gives it to its account."""
    metadata = {"name": pipeline.name, "namespace": cluster.namespace, "labels": labels(pipeline.name)}
    rules = [_turn(pipeline), *_services(pipeline, cluster)]
    role = {"apiGroup": _AUTHORIZATION, "kind": "Role", "name": pipeline.name}
    subject = {"kind": "ServiceAccount", "name": pipeline.name, "namespace": cluster.namespace}
    return [
        make(f"{_AUTHORIZATION}/v1", "Role", metadata, rules=rules),
        make(f"{_AUTHORIZATION}/v1", "RoleBinding", metadata, roleRef=role, subjects=[subject]),
    ]


def _turn(pipeline: ScheduledPipeline) -> Object:
    """Its own Lease, which is there already: creating cannot be allowed by name."""
    return {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [pipeline.name],
        "verbs": ["get", "patch"],
    }


def _services(pipeline: ScheduledPipeline, cluster: Cluster) -> Iterator[Object]:
    """What `tiffin deploy` does in a namespace, or `tiffin status`, and nothing beyond it."""
    if pipeline.services == "none":
        return
    keeps = pipeline.services == "keep"
    verbs = _KEEPS if keeps else _READS
    yield from _rules(OURS, verbs)
    if keeps:
        yield {"apiGroups": [DEPLOYMENT.group], "resources": ["deployments/scale"], "verbs": ["patch"]}
    yield from _rules((REPLICA_SET, POD, EVENT), _READS)
    yield {"apiGroups": [POD.group], "resources": ["pods/log"], "verbs": ["get"]}
    for version, kind in optional_kinds(cluster.kinds):
        yield {"apiGroups": [version.partition("/")[0]], "resources": [f"{kind.lower()}s"], "verbs": verbs}


def _rules(kinds: Iterable[Kind], verbs: list[str]) -> Iterator[Object]:
    """A rule for each group of kinds."""
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, []).append(kind.plural)
    for group, plurals in sorted(groups.items()):
        yield {"apiGroups": [group], "resources": sorted(plurals), "verbs": verbs}
