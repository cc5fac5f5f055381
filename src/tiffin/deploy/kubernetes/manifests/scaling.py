"""Who decides on the number of replicas: the cluster's autoscaler, or KEDA where it knows more."""

from __future__ import annotations

import math

from tiffin.config.quantities import write_cpu
from tiffin.deploy.kubernetes.manifests.cluster import INTERCEPTOR_ROUTE, METRICS_OF_PODS, SCALED_OBJECT, Cluster
from tiffin.deploy.kubernetes.manifests.names import CONTAINER, Object, Track, labels, make, reference
from tiffin.deploy.kubernetes.manifests.network import service_port
from tiffin.deploy.kubernetes.manifests.pod import main_port
from tiffin.deploy.service import Replicas
from tiffin.errors import UnsupportedError

IN_FLIGHT = "tiffin_in_flight_requests"
_BUSY = 70
"""Percent of the processors asked for at which replicas are added, whatever the requests say."""
_SCALER = "keda-add-ons-http-external-scaler.keda:9090"
_POLLING = 15


def autoscaler(track: Track, replicas: Replicas, cluster: Cluster, host: str) -> list[Object]:
    """What scales a track between its bounds; raises UnsupportedError where nothing there can."""
    if not replicas.scales:
        return []
    if not replicas.least:
        return _from_zero(track, replicas, cluster, host)
    if SCALED_OBJECT in cluster.kinds and cluster.prometheus and track.template.inherits:
        return [_scaled_object(track, replicas, cluster, [_by_prometheus(track, replicas, cluster), _by_cpu()])]
    return [_autoscaler(track, replicas, cluster)]


def _autoscaler(track: Track, replicas: Replicas, cluster: Cluster) -> Object:
    """The cluster's own autoscaler: by requests in flight where it can read them, and by processors."""
    target = {"type": "Utilization", "averageUtilization": _BUSY}
    by_cpu = {
        "type": "ContainerResource",
        "containerResource": {"name": "cpu", "container": CONTAINER, "target": target},
    }
    amount = {"type": "AverageValue", "averageValue": write_cpu(replicas.concurrency)}
    by_requests = {"type": "Pods", "pods": {"metric": {"name": IN_FLIGHT}, "target": amount}}
    readable = METRICS_OF_PODS in cluster.kinds and track.template.inherits
    spec = {
        "scaleTargetRef": reference(track),
        "minReplicas": replicas.least,
        "maxReplicas": replicas.most,
        "metrics": [by_requests, by_cpu] if readable else [by_cpu],
        "behavior": _behavior(),
    }
    return make("autoscaling/v2", "HorizontalPodAutoscaler", _metadata(track, cluster), spec=spec)


def _behavior() -> Object:
    """Up at once and by doubling, down slowly: a replica too many costs less than a queue."""
    doubling = {"type": "Percent", "value": 100, "periodSeconds": 15}
    by_four = {"type": "Pods", "value": 4, "periodSeconds": 15}
    quarter = {"type": "Percent", "value": 25, "periodSeconds": 60}
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [doubling, by_four]},
        "scaleDown": {"stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": [quarter]},
    }


def _from_zero(track: Track, replicas: Replicas, cluster: Cluster, host: str) -> list[Object]:
    """Scale to nothing, and up again by the requests that KEDA's HTTP add-on holds meanwhile."""
    if not {SCALED_OBJECT, INTERCEPTOR_ROUTE} <= cluster.kinds:
        raise UnsupportedError(
            f"{track.service} may go down to 0 replicas, and nothing on this cluster would hold its requests then",
            "install KEDA and its HTTP add-on, or write `min = 1` in `[deploy] replicas`",
        )
    trigger = {"type": "external-push", "metadata": {"scalerAddress": _SCALER, "interceptorRoute": track.name}}
    return [
        _interceptor_route(track, replicas, cluster, host),
        _scaled_object(track, replicas, cluster, [trigger]),
    ]


def _interceptor_route(track: Track, replicas: Replicas, cluster: Cluster, host: str) -> Object:
    short, long = f"{track.service}.{cluster.namespace}", f"{track.service}.{cluster.namespace}.svc.cluster.local"
    readiness = f"{math.ceil(track.template.load_seconds) or 1}s"
    spec = {
        "target": {"service": track.name, "port": service_port(track.template, main_port(track.template))},
        "rules": [{"hosts": [*([host] if host else []), short, long]}],
        "scalingMetric": {"concurrency": {"targetValue": max(round(replicas.concurrency), 1)}},
        "timeouts": {"readiness": readiness},
    }
    return make("http.keda.sh/v1beta1", "InterceptorRoute", _metadata(track, cluster), spec=spec)


def _by_prometheus(track: Track, replicas: Replicas, cluster: Cluster) -> Object:
    query = f'sum({IN_FLIGHT}{{namespace="{cluster.namespace}",service="{track.name}"}})'
    metadata = {"serverAddress": cluster.prometheus, "query": query, "threshold": f"{replicas.concurrency:g}"}
    return {"type": "prometheus", "metricType": "AverageValue", "metadata": metadata}


def _by_cpu() -> Object:
    return {"type": "cpu", "metricType": "Utilization", "metadata": {"containerName": CONTAINER, "value": str(_BUSY)}}


def _scaled_object(track: Track, replicas: Replicas, cluster: Cluster, triggers: list[Object]) -> Object:
    """KEDA's wish for an autoscaler; the replicas of the moment stay if KEDA goes, or cannot read a number."""
    steady = {"fallback": {"failureThreshold": 3, "replicas": replicas.least, "behavior": "currentReplicasIfHigher"}}
    spec = {
        "scaleTargetRef": reference(track),
        "pollingInterval": _POLLING,
        "cooldownPeriod": math.ceil(replicas.idle_seconds),
        "minReplicaCount": replicas.least,
        "maxReplicaCount": replicas.most,
        **(steady if replicas.least else {}),
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": {"behavior": _behavior()},
        },
        "triggers": triggers,
    }
    return make("keda.sh/v1alpha1", "ScaledObject", _metadata(track, cluster), spec=spec)


def _metadata(track: Track, cluster: Cluster) -> Object:
    return {"name": track.name, "namespace": cluster.namespace, "labels": labels(track.service)}
