"""Why a deployment does not become what is wanted: a pure function of what the cluster says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tiffin.deploy.kubernetes.pods import findings, is_ready
from tiffin.deploy.kubernetes.words import refused
from tiffin.deploy.target import Decision, Finding

Object = dict[str, Any]
_REVISION = "deployment.kubernetes.io/revision"
_DECIDERS = {"Deployment", "HorizontalPodAutoscaler", "ScaledObject"}
_GIVEN_UP = "ProgressDeadlineExceeded"


def why(
    deployment: Object,
    replicasets: Sequence[Object],
    pods: Sequence[Object],
    events: Sequence[Object],
    logs: Mapping[str, Sequence[str]] = {},
    now: datetime | None = None,
) -> list[Finding]:
    """Say what is in the way of the newest revision, the most telling first; nothing where nothing is.

    `logs` has the last lines of containers by their pod's name. Pods that have the same trouble are one finding.
    """
    ordered = sorted(events, key=_when)
    newest = newest_of(replicasets)
    found = [*_refusals(deployment, newest, ordered)]
    theirs = [pod for pod in pods if newest is None or owned_by(pod, newest)]
    waiting = [pod for pod in theirs if not is_ready(pod) and "deletionTimestamp" not in pod.get("metadata", {})]
    seen = [
        (pod, finding)
        for pod in waiting
        for finding in findings(pod, [*told_of(pod, ordered)], logs.get(_name(pod), ()), now or datetime.now(UTC))
    ]
    found += _together(seen, len(theirs))
    if not found and _given_up(deployment):
        found.append(Finding(message="the cluster gave the rollout up: nothing came forward in its progress-seconds"))
    return found


def newest_of(replicasets: Iterable[Object]) -> Object | None:
    """The replica set of the newest revision."""
    return max(replicasets, key=number_of, default=None)


def number_of(replicaset: Object) -> int:
    """The number of a replica set's revision, 0 where it has none yet."""
    text = replicaset.get("metadata", {}).get("annotations", {}).get(_REVISION, "0")
    return int(text) if str(text).isdecimal() else 0


def owned_by(thing: Object, owner: Object) -> bool:
    """Say whether an object belongs to another one."""
    uid = owner.get("metadata", {}).get("uid")
    return any(one.get("uid") == uid for one in thing.get("metadata", {}).get("ownerReferences", []))


def _refusals(deployment: Object, newest: Object | None, events: Sequence[Object]) -> Iterator[Finding]:
    """Pods that the cluster does not even take: quotas, admission, limits; each reason once."""
    words = [
        condition.get("message", "")
        for owner in (newest or {}, deployment)
        for condition in owner.get("status", {}).get("conditions", [])
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
    ]
    if newest and not words and _lacks(newest):
        words = [
            event.get("message", "") for event in told_of(newest, events) if event.get("reason") == "FailedCreate"
        ][-1:]
    for said, hint in dict.fromkeys(refused(text) for text in words):
        yield Finding(message=f"the cluster refuses its pods: {said}", hint=hint)


def _lacks(replicaset: Object) -> bool:
    """Say whether a replica set has fewer pods than it wants."""
    wanted = replicaset.get("spec", {}).get("replicas", 1)
    return bool(replicaset.get("status", {}).get("replicas", 0) < wanted)


def _together(seen: Sequence[tuple[Object, Finding]], many: int) -> Iterator[Finding]:
    """Make one finding of those that pods share."""
    groups: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for pod, finding in seen:
        groups.setdefault((_kind(finding.message), finding.hint), []).append((_name(pod), finding))
    for group in groups.values():
        name, first = group[0]
        all_alike = f"{len(group)} of {many} replicas are not ready, for the same reason: " if len(group) > 1 else ""
        log = next((finding.log for _, finding in group if finding.log), ())
        yield Finding(message=f"{all_alike}{name} {first.message}", hint=first.hint, log=log)


def _kind(message: str) -> str:
    """What findings of several pods have in common: their words but for numbers."""
    return "".join(" " if letter.isdigit() else letter for letter in message).replace(" ", "")


def told_of(thing: Object, events: Sequence[Object]) -> Iterator[Object]:
    """The events about an object."""
    uid, name = thing.get("metadata", {}).get("uid"), _name(thing)
    for event in events:
        about = event.get("involvedObject", {})
        if about.get("name") == name and about.get("uid", uid) == uid:
            yield event


def decisions(name: str, events: Sequence[Object]) -> list[Decision]:
    """What controllers and autoscalers say they did about a service and its canary, oldest first."""
    return [
        Decision(time=_when(event), what=event.get("message", ""), why=event.get("reason", ""))
        for event in sorted(events, key=_when)
        if event.get("involvedObject", {}).get("kind") in _DECIDERS
        and event["involvedObject"].get("name", "").removesuffix("-canary") == name
    ]


def _given_up(deployment: Object) -> bool:
    return any(one.get("reason") == _GIVEN_UP for one in deployment.get("status", {}).get("conditions", []))


def _when(event: Object) -> str:
    """When it happened last; times of RFC 3339 in UTC sort as text."""
    series = event.get("series") or {}
    return str(event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime") or "")


def _name(thing: Object) -> str:
    return str(thing.get("metadata", {}).get("name", ""))
