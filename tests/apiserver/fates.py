"""How pods fare, as a kubelet and a scheduler tell of it: statuses, events and logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Fate:
    """How the pods of an image fare: `phase` and the conditions, the container's state, and events."""

    phase: str = "Running"
    scheduled: bool = True
    ready: bool = True
    message: str = ""
    """Why it is not scheduled."""
    state: tuple[tuple[str, Any], ...] = ()
    """The container's state, where that is not `running`."""
    last: tuple[tuple[str, Any], ...] = ()
    """How the container before it ended."""
    restarts: int = 0
    events: tuple[tuple[str, str, str], ...] = ()
    """Type, reason and words."""
    log: tuple[str, ...] = ()


READY = Fate(
    events=(
        ("Normal", "Pulled", "Container image already present on machine"),
        ("Normal", "Created", "Created container: app"),
        ("Normal", "Started", "Started container app"),
    )
)
SLOW = Fate(ready=False, log=("loading",))
"""It starts, and is not ready yet."""


def unpullable(image: str, why: str = "not found") -> Fate:
    """Its image cannot be pulled."""
    words = f'Failed to pull image "{image}": {why}'
    waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}": ErrImagePull: {why}'}
    events = (
        ("Warning", "Failed", words),
        ("Warning", "Failed", "Error: ErrImagePull"),
        ("Normal", "BackOff", f'Back-off pulling image "{image}"'),
    )
    return Fate(phase="Pending", ready=False, state=(("waiting", waiting),), events=events)


def unschedulable(lacks: str = "Insufficient nvidia.com/gpu") -> Fate:
    """No node has what it asks for."""
    message = f"0/1 nodes are available: 1 {lacks}. preemption: 0/1 nodes are available: 1 Preemption is not helpful."
    events = (("Warning", "FailedScheduling", message),)
    return Fate(phase="Pending", scheduled=False, ready=False, message=message, events=events)


def crashing(*log: str, status: int = 1, reason: str = "Error") -> Fate:
    """It ends, again and again; the reason is `OOMKilled` for too much memory."""
    words = "back-off 40s restarting failed container=app pod=app"
    ended = {"exitCode": status, "reason": reason, "startedAt": None, "finishedAt": None}
    return Fate(
        ready=False,
        state=(("waiting", {"reason": "CrashLoopBackOff", "message": words}),),
        last=(("terminated", ended),),
        restarts=3,
        events=(("Warning", "BackOff", f"Back-off restarting failed container app in pod: {words}"),),
        log=log,
    )


def unready(output: str, probe: str = "Readiness") -> Fate:
    """Its probe fails."""
    return Fate(ready=False, events=(("Warning", "Unhealthy", f"{probe} probe failed: {output}"),))


def status_of(pod: Object, fate: Fate, time: str) -> Object:
    """What is said of a pod that fares so."""
    truths = {"PodScheduled": fate.scheduled, "Initialized": fate.scheduled}
    truths |= {"ContainersReady": fate.ready, "Ready": fate.ready}
    conditions = [_condition(name, truth, fate, time) for name, truth in truths.items()]
    status: Object = {"phase": fate.phase, "conditions": conditions}
    if fate.scheduled:
        status |= {"startTime": time, "hostIP": "10.0.0.1", "podIP": "10.244.0.7"}
        status["containerStatuses"] = [_container(each, fate, time) for each in pod["spec"]["containers"]]
    return status


def _condition(name: str, truth: bool, fate: Fate, time: str) -> Object:  # noqa: FBT001 - a row of a table
    condition = {"type": name, "status": "True" if truth else "False", "lastTransitionTime": time}
    if name == "PodScheduled" and not truth:
        condition |= {"reason": "Unschedulable", "message": fate.message}
    elif not truth:
        condition |= {"reason": "ContainersNotReady", "message": "containers with unready status: [app]"}
    return condition


def _container(container: Object, fate: Fate, time: str) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "ready": fate.ready,
        "started": not fate.state,
        "restartCount": fate.restarts,
        "state": dict(fate.state) or {"running": {"startedAt": time}},
        "lastState": dict(fate.last),
    }
