"""A service as a cluster remembers it: with each Deployment, and so with each of its replica sets. Pure.

The service is an annotation of the Deployment, in JSON. The cluster copies it to the replica set of the moment, where
it stays: going back applies exactly what was applied then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tiffin.deploy.kubernetes.manifests.cluster import Canary, Cluster, Surroundings
from tiffin.deploy.kubernetes.manifests.names import REVISION
from tiffin.deploy.kubernetes.manifests.render import render
from tiffin.deploy.kubernetes.why import number_of
from tiffin.deploy.service import Service
from tiffin.deploy.target import Revision
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode, encode

Object = dict[str, Any]
SERVICE = "tiffin.dev/service"
"""The annotation with the whole service."""
CANARY = "tiffin.dev/canary"
"""The annotation of a canary's Deployment with its share of the requests in percent."""
SURROUNDINGS = "tiffin.dev/cluster"
"""The annotation with what was said of the cluster when the service was applied, for who scales or goes back later."""
CAUSE = "kubernetes.io/change-cause"
"""The annotation with what made a revision, which kubectl shows too."""
SUFFIX = "-canary"


def rendered(
    service: Service, cluster: Cluster, canary: tuple[Service, float] | None = None, why: str = ""
) -> list[Object]:
    """What a cluster is sent for a service, and for a canary beside it; each Deployment says of which service it is.

    `why` is what makes the service's own revision; without it the cluster keeps what it was told.
    """
    said = None if canary is None else Canary(template=canary[0].template, percent=canary[1])
    plain = msgspec.json.decode(encode(render(service, cluster, said)), type=list[Object])  # digests are text in it
    return [_remembering(one, service, canary, why, cluster) for one in plain]


def _remembering(
    thing: Object, service: Service, canary: tuple[Service, float] | None, why: str, cluster: Cluster
) -> Object:
    if thing["kind"] != "Deployment":
        return thing
    said = {SERVICE: encode(service).decode(), **({CAUSE: why} if why else {})}
    if canary and thing["metadata"]["name"] == service.name + SUFFIX:
        share = f"{canary[1]:g}"
        said = {SERVICE: encode(canary[0]).decode(), CANARY: share, CAUSE: f"tiffin deploy --canary {share}"}
    return annotated(thing, {**said, **remembered(cluster)})


def annotated(thing: Object, said: Mapping[str, str]) -> Object:
    """An object with more annotations."""
    annotations = {**thing["metadata"].get("annotations", {}), **said}
    return {**thing, "metadata": {**thing["metadata"], "annotations": annotations}}


def remembered(cluster: Cluster) -> dict[str, str]:
    """The annotation with what was said of a cluster, where anything was."""
    said = cluster.surroundings
    return {SURROUNDINGS: encode(said).decode()} if said != Surroundings() else {}


def surroundings_of(thing: Object | None) -> Surroundings:
    """What was said of the cluster when an object was applied."""
    text = annotations_of(thing).get(SURROUNDINGS, "") if thing else ""
    return decode(Surroundings, text.encode(), SURROUNDINGS) if text else Surroundings()


def service_of(thing: Object) -> Service:
    """The service that a Deployment or a replica set was applied for; raises NotFoundError where it does not say."""
    name = thing["metadata"]["name"]
    text = annotations_of(thing).get(SERVICE)
    if not text:
        raise NotFoundError(f"{thing['kind']}/{name} does not say of which service it is", "`tiffin deploy` it again")
    return decode(Service, text.encode(), f"{thing['kind']}/{name}")


def annotations_of(thing: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of an object."""
    return dict(thing.get("metadata", {}).get("annotations") or {})


def canary_share(canary: Object | None) -> float:
    """How many percent of the requests a canary's Deployment is to have."""
    return float(annotations_of(canary).get(CANARY, 0)) if canary else 0.0


def revisions(replicasets: Sequence[Object], weight: float = 100.0) -> list[Revision]:
    """The revisions that a track's replica sets are, newest first; the newest has this share of the requests."""
    ordered = sorted(replicasets, key=number_of, reverse=True)
    return [_revision(one, weight if index == 0 else 0.0) for index, one in enumerate(ordered)]


def _revision(replicaset: Object, weight: float) -> Revision:
    status, said, digest = replicaset.get("status", {}), annotations_of(replicaset), _digest(replicaset)
    containers = replicaset["spec"].get("template", {}).get("spec", {}).get("containers", [{}])
    return Revision(
        number=number_of(replicaset),
        digest=Digest.parse(digest) if digest else None,
        image=containers[0].get("image", ""),
        weight=weight,
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        created=replicaset["metadata"].get("creationTimestamp", ""),
        why=said.get(CAUSE, ""),
    )


def _digest(replicaset: Object) -> str:
    """Which revision a replica set is: those of a restart are the same one."""
    pod = replicaset["spec"].get("template", {})
    return annotations_of(pod).get(REVISION) or annotations_of(replicaset).get(REVISION, "")


def revision_before(name: str, replicasets: Sequence[Object], number: int | None) -> Object:
    """The replica set to go back to: that of a number, else the last that differs from now; raises NotFoundError."""
    ordered = sorted(replicasets, key=number_of, reverse=True)
    kept = ", ".join(str(number_of(one)) for one in ordered) or "none"
    if number is None:
        for one in ordered:
            if _digest(one) != _digest(ordered[0]):
                return one
        raise NotFoundError(f"{name} has no revision to go back to", "`tiffin history` lists those that are kept")
    found = next((one for one in ordered if number_of(one) == number), None)
    if found is None:
        raise NotFoundError(f"{name} has no revision {number}", f"kept are: {kept}")
    return found


def as_before(earlier: Service, now: Service) -> Service:
    """An earlier service as it is gone back to: it keeps the replicas of now, which are no part of a revision."""
    return msgspec.structs.replace(earlier, replicas=now.replicas)
