"""A service is kept in a cluster: applied in order, waited for, explained, pruned, gone back from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from apiserver import refusal
from apiserver.controller import Controller
from apiserver.fates import READY, SLOW, Fate, crashing, unpullable, unready, unschedulable
from apiserver.served import DEPLOYMENTS, PODS, Served
from apiserver.server import ApiServer, Fault
from apiserver.store import now, system
from kubernetes_fixtures import DEADLINE, client, eventually
from tiffin.deploy.kubernetes.client.kinds import AUTOSCALER, DEPLOYMENT, SERVICE
from tiffin.deploy.kubernetes.client.refusals import FieldConflictError
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Rollout, Service, Template
from tiffin.deploy.target import Action, Phase
from tiffin.errors import CommandError, ConflictError, NotFoundError, UnavailableError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.progress import Event, Noted, listening

OLD, NEW = (Digest.of(text) for text in (b"old", b"new"))
PORTS = {"http": 8080, "metrics": 8082}


def service(
    digest: Digest = OLD,
    *,
    least: int = 2,
    most: int = 0,
    seconds: float = 30,
    rollback: bool = False,
    **more: Any,
) -> Service:
    template = Template(image="registry.example/team/iris", digest=digest, ports=PORTS)
    replicas = Replicas(least=least, most=most or least)
    rollout = Rollout(progress_seconds=seconds, rollback=rollback)
    return Service(name="iris", template=template, replicas=replicas, rollout=rollout, **more)


@pytest.fixture
def controller(server: ApiServer) -> Iterator[Controller]:
    with Controller(server).running() as running:
        yield running


@pytest.fixture
def target(server: ApiServer, controller: Controller) -> KubernetesTarget:
    assert controller
    return KubernetesTarget(client(server, "default"), "default")


def fails(controller: Controller, fate: Fate) -> None:
    """Let the new revision fare so, and the old one well."""
    controller.fates[NEW] = fate


def waits(reason: str, message: str = "") -> Fate:
    """A container that is not made."""
    return Fate(phase="Pending", ready=False, state=(("waiting", {"reason": reason, "message": message}),))


def groups_of(server: ApiServer) -> str | None:
    """What pods of the service are told of groups beside their own."""
    found = client(server, "default").get(DEPLOYMENT, "default", "iris")
    policy: str | None = found["spec"]["template"]["spec"]["securityContext"].get("supplementalGroupsPolicy")
    return policy


def test_who_may_not_ask_nodes_asks_of_them_what_any_node_can_do(target: KubernetesTarget, server: ApiServer) -> None:
    server.denied.add(("GET", "nodes"))
    target.apply(service())
    assert groups_of(server) is None


def test_who_may_not_ask_nodes_goes_on_as_who_may_began(target: KubernetesTarget, server: ApiServer) -> None:
    target.apply(service())
    server.denied.add(("GET", "nodes"))
    target.apply(service(NEW))
    assert groups_of(server) == "Strict"


def test_a_service_is_applied_in_order_and_available(target: KubernetesTarget, server: ApiServer) -> None:
    status = target.apply(service())
    assert (status.phase, status.ready, status.wanted, status.findings) == (Phase.AVAILABLE, 2, 2, ())
    assert status.addresses == ("http://iris.default.svc",)
    [revision] = status.revisions
    assert (revision.number, revision.weight, revision.image) == (1, 100.0, service().template.reference)
    applied = [asked.path.partition("?")[0].rsplit("/", 2)[-2] for asked in server.asked if asked.method == "PATCH"]
    assert applied[0] == "serviceaccounts"
    assert applied[-1] == "deployments"
    assert [one.name for one in target.list()] == ["iris"]
    assert target.status("iris") == status


def test_a_second_deploy_of_the_same_changes_nothing(target: KubernetesTarget) -> None:
    target.apply(service())
    assert {change.action for change in target.plan(service())} == {Action.KEEP}
    target.apply(service())
    assert len(target.history("iris")) == 1


def test_a_plan_says_field_by_field_what_would_change(target: KubernetesTarget) -> None:
    assert {change.action for change in target.plan(service())} == {Action.CREATE}
    with pytest.raises(NotFoundError):
        target.status("iris")
    target.apply(service(least=2, most=4))
    changes = {change.what: change for change in target.plan(service(NEW, least=2))}
    assert changes["HorizontalPodAutoscaler/iris"].action is Action.REMOVE
    image = f"registry.example/team/iris@{OLD} -> registry.example/team/iris@{NEW}"
    assert any(image[:80] in detail for detail in changes["Deployment/iris"].details)
    assert changes["ServiceAccount/iris"].action is Action.KEEP


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (unpullable("iris", "401 Unauthorized"), ["cannot pull", "401 Unauthorized"]),
        (crashing("Traceback", "ValueError: no model"), ["ends with 1, 3 times", "ValueError: no model"]),
        (crashing(status=137, reason="OOMKilled"), ["more memory than its limit of 1Gi"]),
        (unschedulable("Insufficient memory"), ["finds no node: 1 Insufficient memory"]),
        (unready("HTTP probe failed with statuscode: 503"), ["its readiness probe heard: HTTP probe failed"]),
        (waits("CreateContainerConfigError", 'secret "token" not found'), ["the Secret token is missing"]),
    ],
)
def test_what_does_not_come_up_is_explained_and_what_was_there_serves(
    target: KubernetesTarget, controller: Controller, fate: Fate, words: list[str]
) -> None:
    target.apply(service())
    fails(controller, fate)
    heard: list[Event] = []
    with listening(heard.append), pytest.raises(CommandError) as caught:
        target.apply(service(NEW, seconds=1))
    assert all(word in caught.value.message for word in words), caught.value.message
    assert "tiffin rollback iris" in str(caught.value.hint)
    status = target.status("iris")
    assert status.phase is Phase.FAILED
    assert status.ready == 2
    assert status.findings


def test_what_does_not_come_up_is_taken_back_where_that_is_asked_for(
    target: KubernetesTarget, controller: Controller
) -> None:
    target.apply(service())
    fails(controller, crashing("ValueError: no model"))
    with pytest.raises(
        CommandError, match=rf"(?s)ValueError: no model.*taken back: .*{OLD} serves as before"
    ) as caught:
        target.apply(service(NEW, seconds=1, rollback=True))
    assert "tiffin rollback" not in str(caught.value.hint)
    status = target.status("iris")
    assert (status.phase, status.ready, status.findings) == (Phase.AVAILABLE, 2, ())
    assert status.revisions[0].why.startswith(f"taken back from {NEW.short}")
    assert str(OLD) in status.revisions[0].image


def test_a_first_one_that_does_not_come_up_goes_again_where_that_is_asked_for(
    target: KubernetesTarget, controller: Controller
) -> None:
    fails(controller, crashing("ValueError: no model"))
    with pytest.raises(CommandError, match=r"(?s)ValueError: no model.*removed again"):
        target.apply(service(NEW, seconds=1, rollback=True))
    assert target.list() == []


def test_what_was_given_up_before_is_not_given_up_now_though_the_cluster_still_says_so(server: ApiServer) -> None:
    target = KubernetesTarget(client(server, "default"), "default")
    before = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": now()}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": now()}

    def given_up(action: str, kind: Served, item: dict[str, Any]) -> list[str]:
        if kind is DEPLOYMENTS and action == "CREATE":
            item["status"] = {"observedGeneration": 0, "conditions": [before]}
        return []

    server.store.admission.append(given_up)
    with ThreadPoolExecutor() as pool:
        applied = pool.submit(target.apply, service())
        eventually(lambda: any("watch=true" in asked.path for asked in server.asked))
        _say(server, observedGeneration=1, conditions=[before])
        _say(server, observedGeneration=1, conditions=[done], **counts)
        assert applied.result(timeout=DEADLINE).phase is Phase.AVAILABLE


def _say(server: ApiServer, **status: Any) -> None:
    """Write a status as the cluster's own controllers do."""
    with server.store.changed:
        [live] = server.store.of(DEPLOYMENTS)
        server.store.update(DEPLOYMENTS, {**live, "status": status}, system("Update", "status"))


def test_a_quota_that_is_used_up_is_told(target: KubernetesTarget, server: ApiServer) -> None:
    words = "exceeded quota: small, requested: limits.memory=1Gi, used: limits.memory=0, limited: limits.memory=512Mi"

    def admit(action: str, kind: Served, item: dict[str, Any]) -> list[str]:
        if kind is PODS and action == "CREATE":
            raise refusal.Refusal(403, "Forbidden", f'pods "{item["metadata"]["name"]}" is forbidden: {words}')
        return []

    server.store.admission.append(admit)
    with pytest.raises(CommandError, match="the quota small is used up"):
        target.apply(service(seconds=1))


def test_what_somebody_else_has_set_is_a_conflict_and_force_takes_it(
    target: KubernetesTarget, server: ApiServer
) -> None:
    target.apply(service())
    somebody = client(server, "default", manager="kubectl")
    somebody.scale(DEPLOYMENT, "default", "iris", 5)
    with pytest.raises(FieldConflictError, match="kubectl"):
        target.apply(service(NEW))
    [planned] = [change for change in target.plan(service(NEW)) if change.what == "Deployment/iris"]
    assert any("conflict with kubectl" in detail for detail in planned.details)
    KubernetesTarget(client(server, "default"), "default", force=True).apply(service(NEW))
    assert target.status("iris").wanted == 2


def test_a_server_that_goes_in_the_middle_is_told_and_the_next_deploy_goes_on(
    target: KubernetesTarget, server: ApiServer
) -> None:
    server.faults["PATCH /apis/apps/v1"] = [Fault(hang_up=True)] * 50
    with pytest.raises(UnavailableError, match=r"[1-9] of [1-9] objects were applied") as caught:
        target.apply(service())
    assert "run it again" in str(caught.value.hint)
    server.faults.clear()
    assert target.apply(service()).phase is Phase.AVAILABLE


def test_a_server_that_is_away_while_a_rollout_is_waited_for_is_waited_for_too(
    target: KubernetesTarget, controller: Controller, server: ApiServer
) -> None:
    fails(controller, SLOW)
    heard: list[Event] = []

    def away_for_a_while() -> None:
        eventually(lambda: any("watch=" in asked.path for asked in server.asked))
        server.stop()
        controller.fates[NEW] = READY
        eventually(lambda: any(isinstance(event, Noted) and "for now" in event.message for event in heard))
        server.start()

    later = threading.Thread(target=away_for_a_while)
    later.start()
    with listening(heard.append):
        assert target.apply(service(NEW, seconds=60)).phase is Phase.AVAILABLE
    later.join()


def test_what_was_given_up_and_is_mended_goes_on_with_the_same_deploy(
    target: KubernetesTarget, controller: Controller
) -> None:
    fails(controller, unpullable("iris"))
    with pytest.raises(CommandError):
        target.apply(service(NEW, seconds=1))
    fails(controller, READY)
    assert target.apply(service(NEW, seconds=1)).phase is Phase.AVAILABLE


def test_going_back_after_a_restart_goes_to_what_was_different(target: KubernetesTarget) -> None:
    target.apply(service())
    target.apply(service(NEW))
    target.restart("iris")
    assert target.rollback("iris").revisions[0].image.endswith(OLD)


def test_two_deploys_at_once_are_told_apart(
    target: KubernetesTarget, controller: Controller, server: ApiServer
) -> None:
    fails(controller, waits("ContainerCreating"))
    other = KubernetesTarget(client(server, "default"), "default")

    def begin_another() -> None:
        eventually(lambda: server.store.of(PODS, "default"))
        other.apply(service(OLD))

    later = threading.Thread(target=begin_another)
    later.start()
    with pytest.raises(ConflictError, match="somebody else deployed iris meanwhile"):
        target.apply(service(NEW))
    later.join()
    assert target.status("iris").revisions[0].image.endswith(OLD)


def test_scaling_is_no_new_revision_and_an_autoscaler_comes_and_goes(
    target: KubernetesTarget, server: ApiServer
) -> None:
    target.apply(service())
    api = client(server, "default")
    target.scale("iris", 3, 3)
    assert api.get(DEPLOYMENT, "default", "iris")["spec"]["replicas"] == 3
    version = server.store.version
    scaling = service(least=2, most=6)
    [planned] = [change for change in target.plan(scaling) if change.what == "Deployment/iris"]
    assert not any("replicas" in detail for detail in planned.details)
    target.scale("iris", 2, 6)
    assert api.get(AUTOSCALER, "default", "iris")["spec"]["maxReplicas"] == 6
    assert _numbers(server, version) == {3}, "it does not jump when it changes hands"
    server_scaled = client(server, "default", manager="kube-controller-manager")
    server_scaled.scale(DEPLOYMENT, "default", "iris", 5)
    target.apply(service(NEW, least=2, most=6))
    assert api.get(DEPLOYMENT, "default", "iris")["spec"]["replicas"] == 5, "a deploy leaves the number to who scales"
    [planned] = [change for change in target.plan(service(NEW, least=2)) if change.what == "Deployment/iris"]
    assert "spec.replicas: 5 -> 2" in planned.details, "it is taken back, which is no conflict"
    target.scale("iris", 2, 2)
    assert api.get(DEPLOYMENT, "default", "iris")["spec"]["replicas"] == 2
    with pytest.raises(NotFoundError):
        api.get(AUTOSCALER, "default", "iris")
    assert len(target.history("iris")) == 2


def _numbers(server: ApiServer, version: int) -> set[int]:
    """Every number of replicas that the service was to have since then."""
    return {
        one.item["spec"]["replicas"] for one in server.store.since(version) if one.kind is DEPLOYMENTS and one.after
    }


def test_going_back_applies_exactly_what_was_there_and_keeps_the_replicas(target: KubernetesTarget) -> None:
    target.apply(service())
    target.apply(service(NEW))
    target.scale("iris", 4, 4)
    status = target.rollback("iris")
    assert status.phase is Phase.AVAILABLE
    assert status.wanted == 4
    newest, older = target.history("iris")
    assert (newest.number, older.number) == (3, 2)
    assert newest.image.endswith(OLD)
    assert newest.why == "tiffin rollback to revision 1"
    assert target.rollback("iris", 2).revisions[0].image.endswith(NEW)
    with pytest.raises(NotFoundError, match="no revision 9") as caught:
        target.rollback("iris", 9)
    assert "kept are: 4, 3" in str(caught.value.hint)


def test_one_revision_has_nothing_to_go_back_to(target: KubernetesTarget) -> None:
    target.apply(service())
    with pytest.raises(NotFoundError, match="no revision to go back to"):
        target.rollback("iris")


def test_a_canary_runs_beside_and_is_promoted_or_given_up(target: KubernetesTarget) -> None:
    target.apply(service(least=9))
    status = target.canary(service(NEW, least=9), 10)
    assert status.phase is Phase.AVAILABLE
    assert {revision.weight for revision in status.revisions} == {10.0, 90.0}
    assert [revision.image[-64:] for revision in status.revisions] == [NEW.hex, OLD.hex]
    target.rollback("iris")
    assert [revision.image[-64:] for revision in target.status("iris").revisions] == [OLD.hex]
    target.canary(service(NEW, least=9), 10)
    promoted = target.promote("iris")
    assert promoted.wanted == 9
    assert promoted.revisions[0].image.endswith(NEW)
    with pytest.raises(NotFoundError, match="no canary"):
        target.promote("iris")
    with pytest.raises(ConflictError, match="the revision of iris that is there"):
        target.canary(service(NEW, least=9), 10)


def test_each_revision_says_what_made_it(target: KubernetesTarget) -> None:
    target.apply(service(least=9))
    target.canary(service(NEW, least=9), 10)
    made = f"tiffin deploy {service().template.reference}"
    assert [one.why for one in target.history("iris")] == ["tiffin deploy --canary 10", made]
    target.rollback("iris")
    target.scale("iris", 2, 2)
    assert [one.why for one in target.history("iris")] == [made]
    target.restart("iris")
    assert [one.why for one in target.history("iris")] == ["tiffin restart", made]


def test_a_canary_that_would_get_far_more_than_its_share_is_refused(target: KubernetesTarget) -> None:
    target.apply(service(least=1))
    with pytest.raises(UnsupportedError, match="50 % of requests"):
        target.canary(service(NEW, least=1), 10)


GATEWAYS = Served("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
ROUTES = Served("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")


def weights(server: ApiServer) -> list[tuple[str, int]]:
    """The backends of the rule for all others, with their weights."""
    [route] = server.store.of(ROUTES, "default")
    return [(one["name"], one.get("weight", 1)) for one in route["spec"]["rules"][-1]["backendRefs"]]


def test_with_a_gateway_a_route_shares_requests_exactly(target: KubernetesTarget, server: ApiServer) -> None:
    server.store.kinds += [GATEWAYS, ROUTES]
    edge = {"metadata": {"name": "public", "namespace": "default"}, "spec": {}}
    server.store.create(GATEWAYS, edge, system("Update"))
    status = target.apply(service(least=1, host="iris.example"))
    assert status.addresses == ("http://iris.default.svc",), "no gateway has accepted the route yet"
    [found] = status.findings
    assert "no gateway has accepted its route to default/public yet" in found.message
    target.canary(service(NEW, least=1, host="iris.example"), 10)
    assert weights(server) == [("iris", 900), ("iris-canary", 100)]
    other = {"metadata": {"name": "second", "namespace": "default"}, "spec": {}}
    server.store.create(GATEWAYS, other, system("Update"))
    target.promote("iris")
    assert weights(server) == [("iris", 1)], "the route that is there says which Gateway is meant"
    assert [one["metadata"]["name"] for one in server.store.of(DEPLOYMENTS)] == ["iris"]


def test_a_paused_service_takes_no_new_revision_until_it_goes_on(target: KubernetesTarget) -> None:
    target.apply(service())
    target.pause("iris")
    assert target.status("iris").phase is Phase.PAUSED
    with pytest.raises(ConflictError, match="paused") as caught:
        target.apply(service(NEW))
    assert "tiffin resume iris" in str(caught.value.hint)
    target.resume("iris")
    assert target.apply(service(NEW)).phase is Phase.AVAILABLE


def test_a_restart_replaces_every_replica(target: KubernetesTarget, server: ApiServer) -> None:
    target.apply(service())
    before = {pod["metadata"]["uid"] for pod in server.store.of(PODS, "default")}
    assert target.restart("iris").phase is Phase.AVAILABLE
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in server.store.of(PODS, "default"))


def test_what_a_service_needs_no_more_is_pruned_and_what_others_made_stays(
    target: KubernetesTarget, server: ApiServer
) -> None:
    target.apply(service(least=2, most=4))
    labels = {"app.kubernetes.io/name": "iris", "app.kubernetes.io/managed-by": "tiffin"}
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "theirs", "labels": labels}}
    somebody = client(server, "default", manager="kubectl")
    somebody.apply({**theirs, "spec": {"ports": [{"port": 80}]}})
    target.apply(service(least=2))
    api = client(server, "default")
    with pytest.raises(NotFoundError):
        api.get(AUTOSCALER, "default", "iris")
    target.delete("iris")
    assert server.store.of(DEPLOYMENTS) == []
    assert api.get(SERVICE, "default", "theirs")
    with pytest.raises(NotFoundError, match="no service iris"):
        target.status("iris")


def test_deleting_what_is_not_there_says_so(target: KubernetesTarget) -> None:
    with pytest.raises(NotFoundError, match="no service iris"):
        target.delete("iris")


BEGUN = replace(READY, log=("it has begun",))


def test_logs_are_of_all_replicas_by_their_names(target: KubernetesTarget, controller: Controller) -> None:
    controller.fates[OLD] = BEGUN
    target.apply(service())
    lines = list(target.logs("iris"))
    assert {line.text for _, line in lines} == {"it has begun"}
    assert len({replica for replica, _ in lines}) == 2


def test_logs_are_followed_over_replicas_that_come(
    target: KubernetesTarget, server: ApiServer, controller: Controller
) -> None:
    controller.fates[OLD] = BEGUN
    target.apply(service(least=1))
    followed = target.logs("iris", follow=True)
    first, line = next(followed)
    assert line.text == "it has begun"
    target.restart("iris")
    second, line = next(followed)
    assert first != second
    assert server.runs


def test_findings_are_told_while_a_rollout_is_waited_for(target: KubernetesTarget, controller: Controller) -> None:
    fails(controller, unpullable("iris", "manifest unknown"))
    heard: list[Event] = []
    with listening(heard.append), pytest.raises(CommandError):
        target.apply(service(NEW, seconds=7))
    [told] = [event.message for event in heard if isinstance(event, Noted)]
    assert "manifest unknown" in told
