"""A service that KServe keeps: planned, applied, waited for, explained, scaled, reached and let go of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apiserver.controller import Controller
from apiserver.fates import crashing
from apiserver.kserve import INFERENCE_SERVICES, KServe
from apiserver.served import DEPLOYMENTS, Served
from apiserver.server import ApiServer
from kubernetes_fixtures import client, eventually
from tiffin.deploy.kubernetes.kserve import KServeTarget
from tiffin.deploy.kubernetes.manifests.cluster import Surroundings
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Rollout, Service, Template
from tiffin.deploy.target import Action, Phase
from tiffin.errors import CommandError, ConflictError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest

OLD, NEW = (Digest.of(text) for text in (b"old", b"new"))


def service(digest: Digest = OLD, seconds: float = 30, least: int = 2) -> Service:
    template = Template(image="registry.example/iris", digest=digest, ports={"http": 8080, "metrics": 8082})
    replicas = Replicas(least=least, most=least)
    return Service(name="iris", template=template, replicas=replicas, rollout=Rollout(progress_seconds=seconds))


@pytest.fixture
def controller(server: ApiServer) -> Iterator[Controller]:
    with Controller(server).running() as running:
        yield running


@pytest.fixture
def kserve(server: ApiServer, controller: Controller) -> Iterator[KServe]:
    assert controller
    with KServe(server).running() as running:
        yield running


@pytest.fixture
def target(server: ApiServer, kserve: KServe) -> KServeTarget:
    assert kserve
    return KServeTarget(client(server, "default"), "default", said=Surroundings(pull_secrets=("registry",)))


@pytest.fixture
def later(server: ApiServer) -> KubernetesTarget:
    """What a verb has that only knows the place."""
    return KubernetesTarget(client(server, "default"), "default")


def test_it_is_planned_applied_ready_and_found_by_who_knows_only_the_place(
    target: KServeTarget, later: KubernetesTarget, server: ApiServer
) -> None:
    assert {change.what: change.action for change in target.plan(service())} == {
        "ServiceAccount/iris": Action.CREATE,
        "InferenceService/iris": Action.CREATE,
    }
    status = target.apply(service())
    assert (status.phase, status.ready, status.wanted, status.findings) == (Phase.AVAILABLE, 2, 2, ())
    assert status.addresses[0] == "http://iris-default.example.com"
    assert later.status("iris") == status
    assert [one.name for one in later.list()] == ["iris"]
    assert {change.action for change in target.plan(service())} == {Action.KEEP}
    assert later.replica("iris").name.startswith("iris-predictor-")
    [account] = [one for one in server.store.of(_accounts(server)) if one["metadata"]["name"] == "iris"]
    assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_a_new_revision_is_waited_for_until_its_pods_serve(target: KServeTarget, server: ApiServer) -> None:
    target.apply(service())
    target.apply(service(NEW))
    [deployment] = server.store.of(DEPLOYMENTS)
    assert str(NEW) in deployment["spec"]["template"]["spec"]["containers"][0]["image"]


def test_what_does_not_come_up_is_explained(target: KServeTarget, controller: Controller) -> None:
    controller.fates[NEW] = crashing("Traceback", "ValueError: no model")
    target.apply(service())
    with pytest.raises(CommandError, match="ValueError: no model"):
        target.apply(service(NEW, seconds=2))


def test_what_kserve_says_against_it_is_told_at_once(target: KServeTarget, kserve: KServe) -> None:
    kserve.invalid = "the predictor has two containers of one name"
    with pytest.raises(CommandError, match=r"KServe says: the predictor has two containers.*InvalidPredictorSpec"):
        target.apply(service())


def test_it_is_scaled_and_keeps_what_was_said_of_the_cluster(
    target: KServeTarget, later: KubernetesTarget, server: ApiServer
) -> None:
    target.apply(service())
    later.scale("iris", 3, 3)
    eventually(lambda: later.status("iris").ready == 3)
    [account] = [one for one in server.store.of(_accounts(server)) if one["metadata"]["name"] == "iris"]
    assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_it_goes_with_all_that_kserve_made(target: KServeTarget, later: KubernetesTarget, server: ApiServer) -> None:
    target.apply(service())
    later.delete("iris")
    assert not server.store.of(INFERENCE_SERVICES)
    assert not server.store.of(DEPLOYMENTS)
    with pytest.raises(NotFoundError):
        later.status("iris")


def test_with_and_without_kserve_is_not_mixed(target: KServeTarget, later: KubernetesTarget) -> None:
    target.apply(service())
    with pytest.raises(ConflictError, match="kept by KServe"):
        later.apply(service())
    with pytest.raises(UnsupportedError, match="remembers no revisions"):
        later.rollback("iris")
    later.delete("iris")
    later.apply(service())
    with pytest.raises(ConflictError, match="is there without KServe"):
        target.apply(service())


def test_a_cluster_without_it_is_told(server: ApiServer) -> None:
    with pytest.raises(UnsupportedError, match="KServe is not installed"):
        KServeTarget(client(server, "default"), "default").apply(service())


def _accounts(server: ApiServer) -> Served:
    return next(kind for kind in server.store.kinds if kind.kind == "ServiceAccount")
