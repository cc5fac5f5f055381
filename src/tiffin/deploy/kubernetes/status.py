"""How a service is, read from its objects in a cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tiffin.deploy.kubernetes.revisions import canary_share, revisions, service_of
from tiffin.deploy.kubernetes.routes import leads, unrouted
from tiffin.deploy.kubernetes.why import owned_by, why
from tiffin.deploy.target import Phase, Status
from tiffin.errors import TiffinError

Object = dict[str, Any]
_WHOLE = 100.0
GIVEN_UP = "ProgressDeadlineExceeded"
_CAME_UP = "NewReplicaSetAvailable"


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster says of one service; `logs` are the last lines of containers by their pod's name."""

    name: str
    namespace: str
    deployment: Object
    canary: Object | None = None
    replicasets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    logs: Mapping[str, Sequence[str]] = {}
    routed: bool = False
    routes: Sequence[Object] | None = None
    """The HTTPRoutes that lead to it; None where they may not be read."""


def status_of(seen: Observed, now: datetime | None = None) -> Status:
    """Put together how a service is."""
    share = canary_share(seen.canary)
    found = []
    for track, weight in ((seen.deployment, _WHOLE - share), (seen.canary, share)):
        if track is None:
            continue
        theirs = [one for one in seen.replicasets if owned_by(one, track)]
        found.append((track, revisions(theirs, weight), why(track, theirs, seen.pods, seen.events, seen.logs, now)))
    tracks = [track for track, _, _ in found]
    host = _host(seen)
    outside = unrouted(host, seen.routes) if host and seen.routes is not None else ()
    findings = [finding for _, _, several in found for finding in several]
    return Status(
        name=seen.name,
        phase=phase_of(tracks),
        wanted=sum(wanted(track) for track in tracks),
        ready=sum(track.get("status", {}).get("readyReplicas", 0) for track in tracks),
        addresses=_addresses(seen, host),
        revisions=tuple(one for _, several, _ in reversed(found) for one in several),
        findings=(*findings, *outside),
    )


def phase_of(tracks: Sequence[Object]) -> Phase:
    """Where a service is: where the worst of its tracks is."""
    order = (Phase.FAILED, Phase.PAUSED, Phase.DEGRADED, Phase.PROGRESSING)
    phases = {_phase(track) for track in tracks}
    return next((phase for phase in order if phase in phases), Phase.AVAILABLE)


def _phase(track: Object) -> Phase:
    if track["spec"].get("paused"):
        return Phase.PAUSED
    if is_current(track) and condition(track, "Progressing").get("reason") == GIVEN_UP:
        return Phase.FAILED
    if is_complete(track):
        return Phase.AVAILABLE
    came_up = is_current(track) and condition(track, "Progressing").get("reason") == _CAME_UP
    return Phase.DEGRADED if came_up else Phase.PROGRESSING


def is_current(deployment: Object) -> bool:
    """Say whether the cluster has taken note of the last change."""
    generation = deployment["metadata"].get("generation", 0)
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= generation)


def is_complete(deployment: Object) -> bool:
    """Say whether a rollout is at its end: as many replicas as wanted, all of the newest revision, all available."""
    status = deployment.get("status", {})
    counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return is_current(deployment) and counts == [wanted(deployment)] * len(counts)


def wanted(deployment: Object) -> int:
    """How many replicas are wanted now, by us or by who scales."""
    return int(deployment["spec"].get("replicas", 1))


def condition(thing: Object, kind: str) -> Object:
    """A condition of an object's, empty where it has none."""
    return next((one for one in thing.get("status", {}).get("conditions", []) if one.get("type") == kind), {})


def _host(seen: Observed) -> str:
    """The host for whose requests there is a route; empty where there is none."""
    try:
        return service_of(seen.deployment).host if seen.routed else ""
    except TiffinError:
        return ""


def _addresses(seen: Observed, host: str) -> tuple[str, ...]:
    inside = f"http://{seen.name}.{seen.namespace}.svc"
    return (f"http://{host}", inside) if host and (seen.routes is None or leads(seen.routes)) else (inside,)
