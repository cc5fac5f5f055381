"""What a server fills in, and what it does not take: as much of it as tests of deployments meet."""

from __future__ import annotations

from typing import Any

from apiserver import refusal
from apiserver.served import Served

Object = dict[str, Any]
_REQUIRED = {
    "CronJob": ("jobTemplate", "schedule"),
    "Deployment": ("selector", "template"),
    "HorizontalPodAutoscaler": ("maxReplicas", "scaleTargetRef"),
}
_KNOWN = {
    "Deployment": {
        *("replicas", "selector", "template", "strategy", "minReadySeconds"),
        *("revisionHistoryLimit", "paused", "progressDeadlineSeconds"),
    },
}
"""The fields of `spec` that there are, for kinds in which strictness is tested."""
_ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}


def complete(kind: Served, item: Object) -> None:
    """Fill in what was left out."""
    spec = item.get("spec", {})
    if kind.kind == "Deployment":
        filled = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": _ROLLING}
        item["spec"] = {**filled, **spec}
    if kind.kind == "CronJob":
        filled = {"suspend": False, "concurrencyPolicy": "Allow"}
        item["spec"] = {**filled, **spec}
    if kind.kind == "Service":
        item["spec"] = {"type": "ClusterIP", "clusterIP": "10.96.0.10", "sessionAffinity": "None", **spec}
        for port in spec.get("ports", ()):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
    for container in _pod_of(kind, item).get("containers", ()):
        container.setdefault("imagePullPolicy", "IfNotPresent")
        for port in container.get("ports", ()):
            port.setdefault("protocol", "TCP")


def check(kind: Served, live: Object | None, new: Object) -> None:
    """Refuse what lacks a field that it must have, or changes one that it may not; raises Refusal."""
    spec = new.get("spec", {})
    causes = [
        ("FieldValueRequired", "Required value", f"spec.{name}")
        for name in _REQUIRED.get(kind.kind, ())
        if name not in spec
    ]
    for index, container in enumerate(_pod_of(kind, new).get("containers", ())):
        if not container.get("image"):
            place = "spec" if kind.kind == "Pod" else "spec.template.spec"
            causes.append(("FieldValueRequired", "Required value", f"{place}.containers[{index}].image"))
    if live and kind.kind == "Deployment" and live["spec"]["selector"] != spec.get("selector"):
        words = f"Invalid value: {spec.get('selector')}: field is immutable"
        causes.append(("FieldValueInvalid", words, "spec.selector"))
    if causes:
        raise refusal.invalid(kind, new["metadata"]["name"], causes)


def unknown(kind: Served, item: Object) -> list[str]:
    """The fields that there are not, as places."""
    known = _KNOWN.get(kind.kind)
    return [f"spec.{name}" for name in item.get("spec", {}) if known and name not in known]


def _pod_of(kind: Served, item: Object) -> Object:
    """The part of an object that says what a pod is made of."""
    spec: Object = (
        item.get("spec", {}) if kind.kind == "Pod" else item.get("spec", {}).get("template", {}).get("spec", {})
    )
    return spec
