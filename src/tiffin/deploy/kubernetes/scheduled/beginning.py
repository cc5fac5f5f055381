"""Whether a Job has begun, and what keeps it from that: pure functions of what the cluster says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from tiffin.deploy.kubernetes.pods import findings
from tiffin.deploy.kubernetes.why import told_of
from tiffin.deploy.kubernetes.words import refused
from tiffin.deploy.target import Finding

Object = dict[str, Any]


class Stage(Enum):
    """How far a run is."""

    WAITING = "waiting"
    BEGUN = "begun"
    FAILED = "failed"


def stage_of(job: Object, pods: Sequence[Object]) -> Stage:
    """How far a Job is: it has begun when a pod of it runs, or ran to its end."""
    said = {one["type"] for one in job.get("status", {}).get("conditions", ()) if one.get("status") == "True"}
    phases = {pod.get("status", {}).get("phase") for pod in pods}
    if "Failed" in said | phases:
        return Stage.FAILED
    return Stage.BEGUN if phases & {"Running", "Succeeded"} else Stage.WAITING


def hindered(
    job: Object, pods: Sequence[Object], events: Sequence[Object], logs: Mapping[str, Sequence[str]], now: datetime
) -> Iterator[Finding]:
    """What keeps a Job from beginning, or made it fail: its pod is refused, finds no node, no image, or ends."""
    for event in told_of(job, events) if not pods else ():
        if event.get("reason") == "FailedCreate":
            said, hint = refused(event.get("message", ""))
            yield Finding(message=f"the cluster refuses its pod: {said}", hint=hint)
    for pod in pods:
        name = pod["metadata"]["name"]
        for finding in findings(pod, [*told_of(pod, events)], logs.get(name, ()), now):
            yield Finding(message=f"{name} {finding.message}", hint=finding.hint, log=finding.log)
