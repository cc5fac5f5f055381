"""Plays KServe in its Standard mode: InferenceService -> Deployment NAME-predictor, and conditions back; in small."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from apiserver.player import Player
from apiserver.refusal import Refusal
from apiserver.served import DEPLOYMENTS, Served
from apiserver.store import system

Object = dict[str, Any]
INFERENCE_SERVICES = Served("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices", parts=("status",))
_OF_THE_PREDICTOR = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "timeout", "deploymentStrategy"}


@dataclass
class KServe(Player):
    """The controller behind a server."""

    invalid: str = ""
    """What is said against every InferenceService."""

    def __post_init__(self) -> None:
        self.server.store.kinds.append(INFERENCE_SERVICES)

    def settle(self) -> None:
        """Keep each InferenceService as it is wanted, and say how it is."""
        for kept in self.server.store.of(INFERENCE_SERVICES):
            self._keep(kept)

    def _keep(self, kept: Object) -> None:
        about, store = kept["metadata"], self.server.store
        if not self.invalid:
            wanted = _deployment(kept)
            try:
                live = store.get(DEPLOYMENTS, about["namespace"], f"{about['name']}-predictor")
                both = {**live, "spec": {**live["spec"], **wanted["spec"]}}
                store.update(DEPLOYMENTS, both, system("Update", name="kserve"))
            except Refusal:
                store.create(DEPLOYMENTS, wanted, system("Update", name="kserve"))
        now = copy.deepcopy(kept)
        now["status"] = self._status(kept)
        if now != kept:
            store.update(INFERENCE_SERVICES, now, system("Update", "status", "kserve"))

    def _status(self, kept: Object) -> Object:
        name, namespace = kept["metadata"]["name"], kept["metadata"]["namespace"]
        if self.invalid:
            failed = {"reason": "InvalidPredictorSpec", "message": self.invalid}
            model = {"transitionStatus": "InvalidSpec", "lastFailureInfo": failed}
            return {"conditions": [{"type": "Ready", "status": "False"}], "modelStatus": model}
        live = self.server.store.get(DEPLOYMENTS, namespace, f"{name}-predictor")
        available = live.get("status", {}).get("availableReplicas", 0) >= live["spec"]["replicas"]
        ready = {"type": "Ready", "status": "True" if available else "False"}
        if not available:
            ready |= {
                "reason": "MinimumReplicasUnavailable",
                "message": "Deployment does not have minimum availability.",
            }
        return {"conditions": [ready], "url": f"http://{name}-{namespace}.example.com"}


def _deployment(kept: Object) -> Object:
    about, predictor = kept["metadata"], kept["spec"]["predictor"]
    pod = {key: value for key, value in predictor.items() if key not in _OF_THE_PREDICTOR}
    labels = {**about["labels"], "app": f"isvc.{about['name']}-predictor"}
    owner = {"apiVersion": kept["apiVersion"], "kind": kept["kind"], "name": about["name"], "uid": about["uid"]}
    return {
        "metadata": {
            "name": f"{about['name']}-predictor",
            "namespace": about["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": predictor["minReplicas"],
            "selector": {"matchLabels": {"app": labels["app"]}},
            "strategy": predictor["deploymentStrategy"],
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
