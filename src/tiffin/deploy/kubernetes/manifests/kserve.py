"""The same service as KServe keeps it: one InferenceService, whose controller makes the rest."""

from __future__ import annotations

import math

from tiffin.deploy.kubernetes.manifests.cluster import Canary, Cluster
from tiffin.deploy.kubernetes.manifests.names import REVISION, Object, Track, labels, make
from tiffin.deploy.kubernetes.manifests.pod import main_port, pod_spec
from tiffin.deploy.service import Service, revision_of
from tiffin.errors import UnsupportedError

_CONTAINER = "kserve-container"
_BUSY = 70


def check_for_kserve(service: Service) -> None:
    """Refuse what KServe decides itself, or cannot do in that mode; raises UnsupportedError."""
    if service.host:
        raise UnsupportedError(
            "KServe gives a service its host name itself, by the domain that its administrator set",
            "leave `host` out of `[deploy]` for it",
        )
    if not service.replicas.least:
        raise UnsupportedError(
            "KServe holds requests of a service without replicas in its Knative mode only, which is not rendered",
            "write `min = 1` in `[deploy] replicas`, or deploy without `--kserve` where KEDA's HTTP add-on is",
        )


def inference_service(service: Service, cluster: Cluster, canary: Canary | None) -> Object:
    """Ask KServe for the service in its Standard mode, which is a Deployment."""
    metadata = {
        "name": service.name,
        "namespace": cluster.namespace,
        "labels": labels(service.name),
        "annotations": {"serving.kserve.io/deploymentMode": "Standard", REVISION: str(revision_of(service.template))},
    }
    spec: Object = {"predictor": _predictor(service, Track(service=service.name, template=service.template), cluster)}
    if canary:
        track = Track(service=service.name, template=canary.template, canary=True)
        least = max(math.ceil(service.replicas.least * canary.percent / 100), 1)
        other = {**_predictor(service, track, cluster), "minReplicas": least}
        spec["canary"] = [{"predictor": {"name": "canary", **other}, "trafficPercent": max(round(canary.percent), 1)}]
    return make("serving.kserve.io/v1beta1", "InferenceService", metadata, spec=spec)


def _predictor(service: Service, track: Track, cluster: Cluster) -> Object:
    """Our pod, in KServe's words; it spreads pods and names its one port itself."""
    pod = pod_spec(track, cluster, container=_CONTAINER)
    del pod["topologySpreadConstraints"]
    port = main_port(track.template)
    (container,) = pod["containers"]
    number = track.template.ports[port]
    container["ports"] = [{"name": port, "containerPort": number, "protocol": "TCP"}]
    rollout = {"maxSurge": service.rollout.surge, "maxUnavailable": service.rollout.unavailable}
    deadline = math.ceil(track.template.deadline_seconds)
    return {
        "minReplicas": service.replicas.least,
        "maxReplicas": service.replicas.most,
        **({"scaleMetric": "cpu", "scaleTarget": _BUSY} if service.replicas.scales else {}),
        **({"timeout": deadline} if deadline else {}),
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": rollout},
        **pod,
    }
