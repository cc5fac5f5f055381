"""What tests of clusters share: clients that do not wait long, small objects, and waiting for what comes true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from apiserver.server import ApiServer
from tiffin.deploy.kubernetes.client.asking import Asking, Place
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.login import Fixed
from tiffin.network import Patience

SOON = Patience(attempts=7, pause=lambda seconds: time.sleep(min(seconds, 0.02)))
DEADLINE = 30.0


def client(server: ApiServer, namespace: str = "default", manager: str = "tiffin", patience: Patience = SOON) -> Api:
    """A client that does not wait long."""
    return Api(Asking(Place(url=server.url), Fixed(), patience), namespace, manager)


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until something is true, and return it."""
    until = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.01)
    return found


def config_map(name: str, **data: str) -> dict[str, Any]:
    """The smallest object."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str, replicas: int | None = None, image: str = "registry.invalid/app:1") -> dict[str, Any]:
    """A deployment that restricted clusters take; its image need not exist."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "app", "image": image, "ports": [{"containerPort": 8080}], "securityContext": restricted}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas  # type: ignore[assignment]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
