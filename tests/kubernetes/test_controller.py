"""The little cluster behind the test server: it must fare as a real one does, or tests of deployments prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apiserver.controller import Controller
from apiserver.fates import READY, SLOW, Fate, crashing, unpullable, unready, unschedulable
from apiserver.refusal import not_admitted
from apiserver.served import PODS, Served
from apiserver.server import ApiServer
from kubernetes_fixtures import deployment, eventually
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET


@pytest.fixture
def cluster(server: ApiServer) -> Iterator[Controller]:
    with Controller(server).running() as controller:
        yield controller


def condition(found: dict[str, Any], type_: str) -> dict[str, Any]:
    for each in found.get("status", {}).get("conditions", ()):
        if each["type"] == type_:
            return dict(each)
    return {}


def is_complete(api: Api, name: str = "a") -> bool:
    found = api.get(DEPLOYMENT, "default", name)
    observed = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    return observed and condition(found, "Progressing").get("reason") == "NewReplicaSetAvailable"


def reasons(api: Api) -> set[str]:
    return {event["reason"] for event in api.list(EVENT, "default")}


@pytest.mark.usefixtures("cluster")
def test_a_deployment_becomes_available(api: Api) -> None:
    api.apply(deployment("a", 3))
    eventually(lambda: is_complete(api))
    found = api.get(DEPLOYMENT, "default", "a")
    assert found["status"]["availableReplicas"] == 3
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert condition(found, "Available")["status"] == "True"
    assert len(api.list(POD, "default", {"app": "a"})) == 3


def test_a_rollout_never_has_too_few_or_too_many(api: Api, cluster: Controller) -> None:
    api.apply(deployment("a", 4))
    eventually(lambda: is_complete(api))
    watched = api.watch(DEPLOYMENT, "default", timeout=30)
    api.apply(deployment("a", 4, image="registry.invalid/app:2"))
    for event in watched:
        status = event.object.get("status", {})
        assert status.get("availableReplicas", 4) >= 3
        assert status.get("replicas", 4) <= 5
        if is_complete(api):
            break
    sets = api.list(REPLICA_SET, "default")
    assert sorted(each["spec"]["replicas"] for each in sets) == [0, 4]
    assert cluster.server.runs


@pytest.mark.usefixtures("cluster")
def test_going_back_takes_the_old_replica_set_up_as_a_new_revision(api: Api) -> None:
    for image in ("registry.invalid/app:1", "registry.invalid/app:2", "registry.invalid/app:1"):
        api.apply(deployment("a", 1, image=image))
        eventually(lambda: is_complete(api))
    sets = api.list(REPLICA_SET, "default")
    assert sorted(each["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for each in sets) == ["2", "3"]
    assert api.get(DEPLOYMENT, "default", "a")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


@pytest.mark.parametrize(
    ("fate", "reason"),
    [
        (unpullable("registry.invalid/app:1"), "Failed"),
        (unschedulable(), "FailedScheduling"),
        (crashing("Traceback", "ImportError: numpy"), "BackOff"),
        (unready("HTTP probe failed with statuscode: 503"), "Unhealthy"),
    ],
    ids=["unpullable", "unschedulable", "crashing", "unready"],
)
def test_what_does_not_become_ready_exceeds_its_deadline(
    api: Api, cluster: Controller, fate: Fate, reason: str
) -> None:
    cluster.fates["app:1"] = fate
    wanted = deployment("a", 2)
    wanted["spec"]["progressDeadlineSeconds"] = 0
    api.apply(wanted)
    found = eventually(
        lambda: (
            (found := api.get(DEPLOYMENT, "default", "a"))
            and condition(found, "Progressing").get("reason") == "ProgressDeadlineExceeded"
            and found
        )
    )
    assert condition(found, "Available")["status"] == "False"
    eventually(lambda: reason in reasons(api))


def test_a_crash_leaves_its_last_words(api: Api, cluster: Controller) -> None:
    cluster.fates["app:1"] = crashing("Traceback", "ImportError: numpy")
    api.apply(deployment("a", 1))
    (pod,) = eventually(lambda: api.list(POD, "default", fields={"status.phase": "Running"}))
    said = api.logs("default", pod["metadata"]["name"], previous=True, tail=1)
    assert [line.text for line in said] == ["ImportError: numpy"]
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1


def test_a_slow_one_becomes_ready_when_it_may(api: Api, cluster: Controller) -> None:
    cluster.fates["app:1"] = SLOW
    api.apply(deployment("a", 1))
    eventually(lambda: api.get(DEPLOYMENT, "default", "a").get("status", {}).get("unavailableReplicas") == 1)
    cluster.fates["app:1"] = READY
    eventually(lambda: is_complete(api))


def test_what_a_quota_refuses_is_told_by_condition_and_event(api: Api, cluster: Controller) -> None:
    def admit(_verb: str, kind: Served, item: dict[str, Any]) -> list[str]:
        if kind is PODS:
            why = "exceeded quota: team, requested: pods=1, used: pods=5, limited: pods=5"
            raise not_admitted(kind, item["metadata"]["name"], why)
        return []

    cluster.server.store.admission.append(admit)
    api.apply(deployment("a", 1))
    found = eventually(lambda: condition(api.get(DEPLOYMENT, "default", "a"), "ReplicaFailure"))
    assert "exceeded quota: team" in found["message"]
    assert "FailedCreate" in reasons(api)


@pytest.mark.usefixtures("cluster")
def test_a_paused_deployment_stays_as_it_is(api: Api) -> None:
    api.apply(deployment("a", 1))
    eventually(lambda: is_complete(api))
    wanted = deployment("a", 1, image="registry.invalid/app:2")
    wanted["spec"]["paused"] = True
    api.apply(wanted)
    eventually(
        lambda: condition(api.get(DEPLOYMENT, "default", "a"), "Progressing").get("reason") == "DeploymentPaused"
    )
    assert len(api.list(REPLICA_SET, "default")) == 1


@pytest.mark.usefixtures("cluster")
def test_what_a_deployment_owns_goes_with_it(api: Api) -> None:
    api.apply(deployment("a", 2))
    eventually(lambda: is_complete(api))
    api.delete(DEPLOYMENT, "default", "a")
    assert (api.list(POD, "default"), api.list(REPLICA_SET, "default")) == ([], [])
