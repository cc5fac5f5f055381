"""Plays Deployment -> ReplicaSets -> Pods: what the cluster's own controllers, scheduler and kubelets do, in small.

How pods fare is scripted by a part of their image: `controller.fates["iris:2"] = crashing("ImportError: numpy")`; one
that is not mentioned is ready at once. Everything is decided anew whenever something changes.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

from apiserver.fates import READY, Fate, status_of
from apiserver.player import Player
from apiserver.refusal import Refusal
from apiserver.served import DEPLOYMENTS, EVENTS, JOBS, PODS, REPLICA_SETS, Served
from apiserver.store import now, system

Object = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
JOB_NAME = "batch.kubernetes.io/job-name"
_OWN = {
    *("Available", "Progressing", "ReplicaFailure"),
    *("PodScheduled", "Initialized", "ContainersReady", "Ready"),
}
"""Types of conditions that are written here."""


@dataclass
class Controller(Player):
    """The cluster behind a server."""

    fates: dict[str, Fate] = field(default_factory=dict)
    played: dict[str, Fate] = field(default_factory=dict)
    """How each pod fares by now, by uid."""
    progressed: dict[str, tuple[Any, float]] = field(default_factory=dict)
    """How far each deployment was, by uid, and since when."""
    ready_since: dict[str, float] = field(default_factory=dict)

    def settle(self) -> None:
        """Decide everything once, from pods up to deployments and down again."""
        store = self.server.store
        for pod in store.of(PODS):
            self._fare(pod)
        for job in store.of(JOBS):
            self._begin(job)
        for replica_set in store.of(REPLICA_SETS):
            self._keep_replicas(replica_set)
        for deployment in store.of(DEPLOYMENTS):
            self._roll(deployment)

    def _fare(self, pod: Object) -> None:
        image = pod["spec"]["containers"][0]["image"]
        fate = next((fate for part, fate in self.fates.items() if part in image), READY)
        about = pod["metadata"]
        if self.played.get(about["uid"]) == fate:
            return
        self.played[about["uid"]] = fate
        if fate.ready:
            self.ready_since[about["uid"]] = time.monotonic()
        self._write(PODS, pod, status=status_of(pod, fate, now()))
        for container in pod["spec"]["containers"]:
            place = (about["namespace"], about["name"], container["name"])
            self.server.logs.write(*place, *fate.log)
            if fate.last:
                self.server.logs.write(*place[:2], f"{place[2]}/previous", *fate.log)
        for kind, reason, words in fate.events:
            self.tell(PODS, pod, kind, reason, words)

    def _begin(self, job: Object) -> None:
        """Have the one pod of a job; the cluster may refuse it."""
        if self._owned(PODS, job):
            return
        about, template = job["metadata"], job["spec"]["template"]
        own = {"generateName": f"{about['name']}-", "namespace": about["namespace"]}
        labels = {**template["metadata"].get("labels", {}), JOB_NAME: about["name"]}
        own |= {"labels": labels, "ownerReferences": [_owner(JOBS, job)]}
        try:
            self.server.store.create(PODS, {"metadata": own, "spec": template["spec"]}, system("Update"))
        except Refusal as refused:
            self.tell(JOBS, job, "Warning", "FailedCreate", f"Error creating: {refused}")

    def _keep_replicas(self, replica_set: Object) -> None:
        pods = self._owned(PODS, replica_set)
        wanted = replica_set["spec"]["replicas"]
        failure: list[Object] = []
        try:
            for _ in range(wanted - len(pods)):
                self._make_pod(replica_set)
        except Refusal as refused:
            failure = [_said("ReplicaFailure", "True", "FailedCreate", str(refused))]
            self.tell(REPLICA_SETS, replica_set, "Warning", "FailedCreate", f"Error creating: {refused}")
        for pod in sorted(pods, key=_is_ready)[: max(0, len(pods) - wanted)]:
            self.server.store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        pods = self._owned(PODS, replica_set)
        ready = [pod for pod in pods if _is_ready(pod)]
        patience = replica_set["spec"].get("minReadySeconds", 0)
        available = [pod for pod in ready if time.monotonic() - self.ready_since[pod["metadata"]["uid"]] >= patience]
        counts = {"replicas": len(pods), "readyReplicas": len(ready), "availableReplicas": len(available)}
        observed = {"observedGeneration": replica_set["metadata"]["generation"]}
        self._write(REPLICA_SETS, replica_set, status={**counts, **observed, "conditions": failure})

    def _make_pod(self, replica_set: Object) -> None:
        about, template = replica_set["metadata"], replica_set["spec"]["template"]
        place = {"generateName": f"{about['name']}-", "namespace": about["namespace"]}
        own = {
            **place,
            "labels": template["metadata"].get("labels", {}),
            "ownerReferences": [_owner(REPLICA_SETS, replica_set)],
        }
        self.server.store.create(PODS, {"metadata": own, "spec": template["spec"]}, system("Update"))

    def _roll(self, deployment: Object) -> None:
        """Bring a deployment a step nearer to what is wanted."""
        olds = self._owned(REPLICA_SETS, deployment)
        new = next((each for each in olds if _template(each) == _template(deployment)), None)
        newest = max((_revision(each) for each in olds), default=0)
        if not deployment["spec"].get("paused"):
            if new is None:
                new = self._make_replica_set(deployment, newest + 1)
            number = _revision(new) if _revision(new) >= newest else newest + 1  # somebody went back
            noted = {**deployment["metadata"].get("annotations", {}), REVISION: str(number)}
            self._write(REPLICA_SETS, new, annotations=noted)
            new = self.server.store.get(REPLICA_SETS, new["metadata"]["namespace"], new["metadata"]["name"])
            self._shift(deployment, new, [each for each in olds if each["metadata"]["uid"] != new["metadata"]["uid"]])
        self._report(deployment, new)

    def _make_replica_set(self, deployment: Object, revision: int) -> Object:
        about, spec = deployment["metadata"], deployment["spec"]
        digest = hashlib.sha256(json.dumps(_template(deployment), sort_keys=True).encode()).hexdigest()[:10]
        labels = {**spec["template"]["metadata"].get("labels", {}), HASH: digest}
        own = {
            "name": f"{about['name']}-{digest}",
            "namespace": about["namespace"],
            "labels": labels,
            "annotations": {**about.get("annotations", {}), REVISION: str(revision)},
            "ownerReferences": [_owner(DEPLOYMENTS, deployment)],
        }
        template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
        selector = {"matchLabels": {**spec["selector"]["matchLabels"], HASH: digest}}
        wanted = {"replicas": 0, "selector": selector, "template": template}
        wanted |= {"minReadySeconds": spec.get("minReadySeconds", 0)}
        self.tell(DEPLOYMENTS, deployment, "Normal", "ScalingReplicaSet", f"Scaled up replica set {own['name']}")
        return self.server.store.create(REPLICA_SETS, {"metadata": own, "spec": wanted}, system("Update"))

    def _shift(self, deployment: Object, new: Object, olds: list[Object]) -> None:
        """Move replicas from the old to the new, within surge and what may be unavailable."""
        wanted = deployment["spec"]["replicas"]
        surge, missing = _margins(deployment)
        total = sum(each["spec"]["replicas"] for each in (new, *olds))
        mine = new["spec"]["replicas"]
        up = min(wanted, mine + max(0, wanted + surge - total)) if mine < wanted else wanted
        if deployment["spec"]["strategy"]["type"] == "Recreate" and any(self._owned(PODS, each) for each in olds):
            up = 0
        self._scale(new, up)
        available = sum(each.get("status", {}).get("availableReplicas", 0) for each in (new, *olds))
        spare = max(0, available - (wanted - missing))
        for old in sorted(olds, key=_revision):
            unavailable = old["spec"]["replicas"] - old.get("status", {}).get("availableReplicas", 0)
            down = min(old["spec"]["replicas"], max(0, unavailable) + spare)
            spare -= max(0, down - max(0, unavailable))
            self._scale(old, old["spec"]["replicas"] - down)
        idle = [
            each for each in sorted(olds, key=_revision) if not each["spec"]["replicas"] and not self._owned(PODS, each)
        ]
        for old in idle[: max(0, len(idle) - deployment["spec"]["revisionHistoryLimit"])]:
            self.server.store.delete(REPLICA_SETS, old["metadata"]["namespace"], old["metadata"]["name"])

    def _report(self, deployment: Object, new: Object | None) -> None:
        """Say how far a deployment is."""
        sets = self._owned(REPLICA_SETS, deployment)
        counts = {
            name: sum(each.get("status", {}).get(name, 0) for each in sets)
            for name in ("replicas", "readyReplicas", "availableReplicas")
        }
        mine = next((each for each in sets if new and each["metadata"]["uid"] == new["metadata"]["uid"]), {})
        counts["updatedReplicas"] = mine.get("status", {}).get("replicas", 0)
        wanted = deployment["spec"]["replicas"]
        counts["unavailableReplicas"] = max(0, max(wanted, counts["replicas"]) - counts["availableReplicas"])
        failures = [each for part in sets for each in part.get("status", {}).get("conditions", ())]
        enough = counts["availableReplicas"] >= wanted - _margins(deployment)[1]
        conditions = [
            _said("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else _said(
                "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
            ),
            self._progress(deployment, mine, counts),
            *failures[:1],
        ]
        observed = {"observedGeneration": deployment["metadata"]["generation"]}
        revision = {REVISION: str(_revision(mine))} if mine else {}
        self._write(
            DEPLOYMENTS, deployment, status={**observed, **counts, "conditions": conditions}, annotations=revision
        )

    def _progress(self, deployment: Object, new: Object, counts: dict[str, int]) -> Object:
        """Whether it goes forward, has arrived, or has stood still for too long."""
        wanted, name = deployment["spec"]["replicas"], new.get("metadata", {}).get("name", "")
        if deployment["spec"].get("paused"):
            return _said("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
        if counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted:
            self.progressed.pop(deployment["metadata"]["uid"], None)
            words = f'ReplicaSet "{name}" has successfully progressed.'
            return _said("Progressing", "True", "NewReplicaSetAvailable", words)
        far = (deployment["metadata"]["generation"], name, counts)
        was, since = self.progressed.get(deployment["metadata"]["uid"], (None, 0.0))
        if far != was:
            since = time.monotonic()
            self.progressed[deployment["metadata"]["uid"]] = far, since
        if time.monotonic() - since > deployment["spec"]["progressDeadlineSeconds"]:
            words = f'ReplicaSet "{name}" has timed out progressing.'
            return _said("Progressing", "False", "ProgressDeadlineExceeded", words)
        return _said("Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')

    def tell(self, kind: Served, about: Object, type_: str, reason: str, words: str) -> None:
        """Have an event; one that is there already is counted."""
        place = {key: about["metadata"][key] for key in ("namespace", "name", "uid")}
        involved = {"kind": kind.kind, "apiVersion": kind.api_version, **place}
        digest = hashlib.sha256(f"{reason}{words}".encode()).hexdigest()[:16]
        name = f"{place['name']}.{digest}"
        for event in self.server.store.of(EVENTS, place["namespace"]):
            if event["metadata"]["name"] == name:
                return
        told = {"type": type_, "reason": reason, "message": words, "count": 1, "involvedObject": involved}
        told |= {"firstTimestamp": now(), "lastTimestamp": now(), "source": {"component": "test"}}
        self.server.store.create(
            EVENTS, {"metadata": {"name": name, "namespace": place["namespace"]}, **told}, system("Update")
        )

    def _scale(self, replica_set: Object, replicas: int) -> None:
        about = replica_set["metadata"]
        live = self.server.store.get(REPLICA_SETS, about["namespace"], about["name"])
        if live["spec"]["replicas"] != replicas:
            changed = {**live, "spec": {**live["spec"], "replicas": replicas}}
            self.server.store.update(REPLICA_SETS, changed, system("Update"))

    def _write(self, kind: Served, item: Object, *, annotations: dict[str, str] | None = None, **parts: Any) -> None:
        """Change a part of an object, where it differs but for times."""
        about = item["metadata"]
        live = self.server.store.get(kind, about["namespace"], about["name"])
        noted = {**live["metadata"].get("annotations", {}), **(annotations or {})}
        changed = {**live, **{key: _timed(value, live.get(key, {})) for key, value in parts.items()}}
        if noted:
            changed["metadata"] = {**live["metadata"], "annotations": noted}
        if changed != live:
            self.server.store.update(kind, changed, system("Update", "status"))

    def _owned(self, kind: Served, owner: Object) -> list[Object]:
        uid = owner["metadata"]["uid"]
        return [
            each
            for each in self.server.store.of(kind, owner["metadata"]["namespace"])
            if any(reference["uid"] == uid for reference in each["metadata"].get("ownerReferences", ()))
        ]


def _template(item: Object) -> Object:
    template = item["spec"]["template"]
    labels = {key: value for key, value in template["metadata"].get("labels", {}).items() if key != HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def _revision(replica_set: Object) -> int:
    return int(replica_set["metadata"].get("annotations", {}).get(REVISION, 0))


def _owner(kind: Served, item: Object) -> Object:
    about = {key: item["metadata"][key] for key in ("name", "uid")}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "controller": True, "blockOwnerDeletion": True, **about}


def _margins(deployment: Object) -> tuple[int, int]:
    """How many replicas more than wanted there may be, and how many fewer available."""
    strategy, wanted = deployment["spec"]["strategy"], deployment["spec"]["replicas"]
    if strategy["type"] == "Recreate":
        return 0, wanted
    rolling = strategy.get("rollingUpdate", {})
    surge = _share(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    missing = _share(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    return surge, missing if surge or missing else 1


def _share(value: Any, wanted: int, rounded: Any) -> int:
    return int(rounded(int(value[:-1]) * wanted / 100)) if isinstance(value, str) else int(value)


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _said(type_: str, status: str, reason: str, message: str) -> Object:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastUpdateTime": now()}


def _timed(new: Object, live: Object) -> Object:
    """Leave the times of conditions that have not changed as they were, and conditions of others alone."""
    was = {each["type"]: each for each in live.get("conditions", ())}
    others = [each for kind, each in was.items() if kind not in _OWN]
    conditions = [
        was[each["type"]]
        if {**each, "lastUpdateTime": ""} == {**was.get(each["type"], {}), "lastUpdateTime": ""}
        else each
        for each in new.get("conditions", ())
    ]
    return {**new, "conditions": conditions + others}
