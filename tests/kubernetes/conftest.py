"""A cluster to talk to: the API server of `apiserver`, or a real one (`make test-cluster` with KUBECONFIG)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from apiserver.server import ApiServer
from kubernetes_fixtures import client
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import NAMESPACE
from tiffin.deploy.kubernetes.client.kubeconfig import connect

REAL = bool(os.environ.get("TIFFIN_TEST_CLUSTER"))


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A server that a test may have do wrong."""
    if REAL:
        pytest.skip("needs an API server that does wrong on demand")
    with ApiServer().running() as running:
        yield running


@pytest.fixture
def api(request: pytest.FixtureRequest, namespace: str) -> Api:
    """A client of the cluster, whose objects are in a namespace of the test's own."""
    if REAL:
        return connect(namespace=namespace)[0]
    return client(request.getfixturevalue("server"), namespace)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of the test's own."""
    if not REAL:
        yield "default"
        return
    name = f"tiffin-test-{uuid.uuid4().hex[:8]}"
    cluster, _ = connect()
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        cluster.delete(NAMESPACE, "", name)


@pytest.fixture
def someone(request: pytest.FixtureRequest, namespace: str) -> Api:
    """Another client, whose fields are somebody else's."""
    if REAL:
        mine, _ = connect(namespace=namespace)
        return Api(mine._asking, namespace, manager="somebody")
    return client(request.getfixturevalue("server"), namespace, manager="somebody")


@pytest.fixture
def kubeconfig(tmp_path: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which commands find the server, whatever proxies there are."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server.url}}],
        "users": [{"name": "dana", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "dana", "namespace": "default"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file
