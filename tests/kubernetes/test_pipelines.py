"""A pipeline is kept in a cluster: applied in order, pruned, begun by hand, explained, removed, and left to others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from apiserver import refusal
from apiserver.controller import Controller
from apiserver.fates import Fate, unpullable, unschedulable
from apiserver.served import JOBS, PODS, Served
from apiserver.server import ApiServer
from kubernetes_fixtures import client, eventually
from tiffin.config.cron import Cron
from tiffin.deploy.kubernetes.client.kinds import CRON_JOB, JOB, LEASE, NETWORK_POLICY, ROLE, SERVICE_ACCOUNT, Kind
from tiffin.deploy.kubernetes.manifests.cluster import Surroundings
from tiffin.deploy.kubernetes.scheduled.keeping import ScheduledPipelines
from tiffin.deploy.kubernetes.scheduled.pipeline import ScheduledPipeline
from tiffin.deploy.kubernetes.scheduled.times import times_of
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Service, Template
from tiffin.deploy.target import Action
from tiffin.errors import CommandError, ConflictError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.progress import Event, Noted, listening

replace = msgspec.structs.replace
PIPELINE = ScheduledPipeline(
    name="iris-pipeline",
    project="iris",
    image="registry.example/team/iris",
    digest=Digest.of(b"iris:pipeline"),
    times=times_of(Cron.parse("0 3 * * *"), "Europe/Berlin"),
    words=("pipeline", "watch", "--once", "--here"),
    by_hand=("pipeline", "run", "--here"),
)
SAID = Surroundings(pull_secrets=("registry",))
NAME = PIPELINE.name


@pytest.fixture
def controller(server: ApiServer) -> Iterator[Controller]:
    with Controller(server).running() as running:
        yield running


@pytest.fixture
def kept(server: ApiServer) -> ScheduledPipelines:
    pipelines = ScheduledPipelines(client(server), "default", patience=1)
    pipelines.keep(PIPELINE, SAID)
    return pipelines


def names(server: ApiServer, kind: Kind) -> list[str]:
    return [one["metadata"]["name"] for one in client(server).list(kind, "default")]


def test_a_pipeline_is_applied_before_it_can_begin_and_again_without_a_change(server: ApiServer) -> None:
    pipelines = ScheduledPipelines(client(server), "default")
    assert {change.action for change in pipelines.plan(PIPELINE, SAID)} == {Action.CREATE}
    pipelines.keep(PIPELINE, SAID)
    applied = [asked.path.partition("?")[0].rsplit("/", 2)[-2] for asked in server.asked if asked.method == "PATCH"]
    applied = applied[-6:]
    assert applied == ["serviceaccounts", "roles", "rolebindings", "networkpolicies", "leases", "cronjobs"]
    assert {change.action for change in pipelines.plan(PIPELINE, SAID)} == {Action.KEEP}
    pipelines.keep(PIPELINE, SAID)
    assert client(server).get(CRON_JOB, "default", NAME)["metadata"]["generation"] == 1


def test_a_plan_says_field_by_field_what_would_change(kept: ScheduledPipelines) -> None:
    later = replace(PIPELINE, times=times_of(Cron.parse("30 4 * * *"), "Europe/Berlin"), services="keep")
    changes = {change.what: change for change in kept.plan(later, SAID)}
    assert "spec.schedule: 0 3 * * * -> 30 4 * * *" in changes[f"CronJob/{NAME}"].details
    assert changes[f"Role/{NAME}"].action is Action.CHANGE
    assert changes[f"Lease/{NAME}"].action is Action.KEEP


def test_what_a_pipeline_needs_no_more_is_removed(server: ApiServer, kept: ScheduledPipelines) -> None:
    old = client(server).get(NETWORK_POLICY, "default", NAME)
    about = {"name": "iris-pipeline-old", "labels": old["metadata"]["labels"]}
    wanted = {"apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": about, "spec": old["spec"]}
    client(server).apply(wanted)
    somebodys = {**wanted, "metadata": {**about, "name": "somebodys"}}
    client(server, manager="somebody").apply(somebodys)
    kept.keep(PIPELINE, SAID)
    assert names(server, NETWORK_POLICY) == [NAME, "somebodys"]


def test_a_service_and_the_pipeline_of_its_project_leave_each_other_alone(
    server: ApiServer, controller: Controller, kept: ScheduledPipelines
) -> None:
    assert controller
    template = Template(image="registry.example/iris", digest=Digest.of(b"iris"), ports={"http": 8080})
    target = KubernetesTarget(client(server), "default")
    target.apply(Service(name="iris", template=template, replicas=Replicas(least=1, most=1)))
    assert names(server, SERVICE_ACCOUNT) == ["iris", NAME]
    kept.keep(PIPELINE, SAID)
    target.delete("iris")
    assert names(server, SERVICE_ACCOUNT) == [NAME]
    assert names(server, CRON_JOB) == [NAME]


def test_a_holder_of_the_lease_keeps_it_when_the_pipeline_is_applied_again(
    server: ApiServer, kept: ScheduledPipelines
) -> None:
    client(server).patch(LEASE, "default", NAME, {"spec": {"holderIdentity": "pod-1"}})
    kept.keep(replace(PIPELINE, digest=Digest.of(b"another")), SAID)
    assert client(server).get(LEASE, "default", NAME)["spec"]["holderIdentity"] == "pod-1"


def test_what_somebody_else_has_set_is_a_conflict_unless_it_is_taken_over(
    server: ApiServer, kept: ScheduledPipelines
) -> None:
    client(server, manager="dana").patch(CRON_JOB, "default", NAME, {"spec": {"schedule": "0 5 * * *"}})
    with pytest.raises(ConflictError, match="dana"):
        kept.keep(PIPELINE, SAID)
    assert any("conflict with dana" in line for change in kept.plan(PIPELINE, SAID) for line in change.details)
    ScheduledPipelines(client(server), "default", force=True).keep(PIPELINE, SAID)
    assert client(server).get(CRON_JOB, "default", NAME)["spec"]["schedule"] == "0 3 * * *"


def test_a_run_by_hand_is_a_job_of_the_cron_job_that_runs_whether_a_run_is_due_or_not(
    server: ApiServer, controller: Controller, kept: ScheduledPipelines
) -> None:
    assert controller
    job = client(server).get(JOB, "default", kept.begin(NAME))
    assert job["metadata"]["name"].startswith("iris-pipeline-by-hand-")
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("CronJob", NAME, True)
    assert job["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    template = client(server).get(CRON_JOB, "default", NAME)["spec"]["jobTemplate"]["spec"]
    theirs, ours = (spec["template"]["spec"] for spec in (template, job["spec"]))
    assert theirs["containers"][0]["args"] == list(PIPELINE.words)
    assert ours["containers"][0]["args"] == list(PIPELINE.by_hand)
    assert {**ours, "containers": []} == {**theirs, "containers": []}


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (unpullable("iris", "401 Unauthorized"), ["cannot pull", "401 Unauthorized"]),
        (unschedulable("Insufficient memory"), ["finds no node: 1 Insufficient memory"]),
        (
            Fate(
                phase="Failed",
                ready=False,
                state=(("terminated", {"exitCode": 3, "reason": "Error"}),),
                log=("no such parameter",),
            ),
            ["did not begin", "ends with 3", "no such parameter"],
        ),
    ],
    ids=["pull", "node", "end"],
)
def test_what_keeps_a_run_by_hand_from_beginning_is_said_and_the_job_stays(
    server: ApiServer, controller: Controller, kept: ScheduledPipelines, fate: Fate, words: list[str]
) -> None:
    controller.fates["team/iris"] = fate
    with pytest.raises(CommandError) as caught:
        kept.begin(NAME)
    for word in words:
        assert word in caught.value.message
    assert len(server.store.of(JOBS)) == 1


def test_a_pod_that_the_cluster_refuses_is_explained_by_what_it_says(
    server: ApiServer, controller: Controller, kept: ScheduledPipelines
) -> None:
    assert controller

    def full(_verb: str, kind: Served, _item: Any) -> list[str]:
        if kind is PODS:
            words = "exceeded quota: team, requested: memory=1Gi, used: memory=8Gi, limited: memory=8Gi"
            raise refusal.Refusal(403, "Forbidden", words)
        return []

    server.store.admission.append(full)
    with pytest.raises(CommandError, match="the quota team is used up: it asks for memory=1Gi"):
        kept.begin(NAME)


def test_what_is_in_the_way_is_told_while_it_is_and_the_run_begins_when_it_is_gone(
    server: ApiServer, controller: Controller
) -> None:
    pipelines = ScheduledPipelines(client(server), "default", patience=60)
    pipelines.keep(PIPELINE, SAID)
    controller.fates["team/iris"] = unschedulable()
    heard, told = list[Event](), threading.Event()

    def hear(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Noted):
            told.set()

    def begin() -> str:
        with listening(hear):
            return pipelines.begin(NAME)

    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(begin)
        assert told.wait(30)
        assert not begun.done()
        del controller.fates["team/iris"]
        with server.store.changed:
            server.store.changed.notify_all()
        assert begun.result(30).startswith("iris-pipeline-by-hand-")
    assert any("finds no node" in event.message for event in heard if isinstance(event, Noted))


def test_a_pipeline_is_removed_with_its_runs(
    server: ApiServer, controller: Controller, kept: ScheduledPipelines
) -> None:
    assert controller
    kept.begin(NAME)
    kept.delete(NAME)
    for kind in (CRON_JOB, JOB, LEASE, ROLE, NETWORK_POLICY, SERVICE_ACCOUNT):
        assert names(server, kind) == []
    assert eventually(lambda: not server.store.of(PODS))
    for verb in (kept.delete, kept.begin):
        with pytest.raises(NotFoundError, match="no pipeline iris-pipeline in the namespace default"):
            verb(NAME)
