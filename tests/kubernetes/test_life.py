"""The whole life of a service, on the tests' server or a real cluster: from the first deploy to the last word.

A real cluster is told by TIFFIN_TEST_IMAGE which image of tiffin's its nodes can pull, as `REGISTRY/NAME@sha256:…`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apiserver.controller import Controller
from apiserver.fates import unpullable
from kubernetes_fixtures import eventually
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Resources, Rollout, Service, Template
from tiffin.deploy.target import Phase
from tiffin.errors import CommandError, NotFoundError
from tiffin.oci.digest import Digest

REAL = bool(os.environ.get("TIFFIN_TEST_CLUSTER"))
ABSENT = Digest.of(b"nobody ever pushed this")


@pytest.fixture
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """An image that the cluster can pull, beside one that it cannot."""
    if REAL:
        if not (named := os.environ.get("TIFFIN_TEST_IMAGE")):
            pytest.skip("needs TIFFIN_TEST_IMAGE")
        yield named
        return
    fates = {ABSENT: unpullable("iris")}
    with Controller(request.getfixturevalue("server"), fates=dict(fates)).running():
        yield f"registry.example/team/iris@{Digest.of(b'iris')}"


def service(image: str, *, digest: str = "", seconds: float = 300, mark: str = "") -> Service:
    name, _, own = image.partition("@")
    template = Template(
        image=name,
        digest=Digest.parse(digest or own),
        ports={"http": 8080, "metrics": 8082},
        env={"MARK": mark},
        resources=Resources(cpus=0.1, memory=512 << 20),
    )
    rollout = Rollout(progress_seconds=seconds)
    return Service(name="iris", template=template, replicas=Replicas(least=1, most=1), rollout=rollout)


@pytest.mark.cluster
def test_a_service_lives(api: Api, namespace: str, image: str) -> None:
    target = KubernetesTarget(api, namespace)
    assert target.apply(service(image)).phase is Phase.AVAILABLE
    target.scale("iris", 2, 2)
    eventually(lambda: target.status("iris").ready == 2)
    assert target.apply(service(image, mark="second")).phase is Phase.AVAILABLE
    with pytest.raises(CommandError, match="cannot pull"):
        target.apply(service(image, digest=ABSENT, seconds=20 if REAL else 1))
    assert target.status("iris").ready >= 1, "what was there serves"
    assert target.rollback("iris").phase is Phase.AVAILABLE
    assert target.restart("iris").phase is Phase.AVAILABLE
    assert [one.name for one in target.list()] == ["iris"]
    assert len(list(target.logs("iris"))) >= (1 if REAL else 0)
    target.delete("iris")
    with pytest.raises(NotFoundError):
        target.status("iris")
