"""Who watches a service: Prometheus, told by its operator's own kind."""

from __future__ import annotations

from tiffin.deploy.kubernetes.manifests.cluster import SERVICE_MONITOR, Cluster
from tiffin.deploy.kubernetes.manifests.names import NAME, Object, labels, make
from tiffin.deploy.service import Template


def monitor(service: str, template: Template, cluster: Cluster) -> list[Object]:
    """Have the metrics of every track read, where there are metrics and somebody who reads them."""
    if SERVICE_MONITOR not in cluster.kinds or "metrics" not in template.ports:
        return []
    metadata = {
        "name": service,
        "namespace": cluster.namespace,
        "labels": {**cluster.monitor_labels, **labels(service)},
    }
    spec = {
        "selector": {"matchLabels": {NAME: service}},
        "endpoints": [{"port": "metrics", "path": "/metrics", "interval": "15s", "honorLabels": False}],
    }
    return [make("monitoring.coreos.com/v1", "ServiceMonitor", metadata, spec=spec)]
