"""A pipeline on a cluster: what Kubernetes takes in every version, as little power as it needs, one run at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings

from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.files import to_yaml
from tiffin.deploy.kubernetes.manifests.render import weakest_profile
from tiffin.deploy.kubernetes.order import in_order
from tiffin.deploy.kubernetes.scheduled.objects import render
from tiffin.deploy.kubernetes.scheduled.pipeline import Mounted, ScheduledPipeline, name_of
from tiffin.deploy.kubernetes.security import Profile
from tiffin.errors import ConfigError, UnsupportedError
from unit.deploy.kubernetes.manifests.schemas import assert_valid
from unit.deploy.kubernetes.manifests.services import CLUSTER, FULL, VERSIONS, clusters
from unit.deploy.kubernetes.scheduled.pipelines import DEPLOYING, PLAIN, pipelines

replace = msgspec.structs.replace


def kinds(pipeline: ScheduledPipeline, cluster: Cluster = CLUSTER) -> dict[str, Any]:
    return {one["kind"]: one for one in render(pipeline, cluster)}


def pod(pipeline: ScheduledPipeline) -> Any:
    return kinds(pipeline)["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@settings(max_examples=60, deadline=None)
@given(pipelines, clusters)
def test_everything_rendered_is_valid_restricted_and_the_same_after_reading(
    pipeline: ScheduledPipeline, cluster: Cluster
) -> None:
    made = render(pipeline, cluster)
    for thing in made:
        assert_valid(thing, cluster.version)
        if thing["kind"] != "Namespace":
            assert thing["metadata"]["labels"]["app.kubernetes.io/name"] == pipeline.name
            assert thing["metadata"]["namespace"] == cluster.namespace
    assert weakest_profile(made, cluster.version) is Profile.RESTRICTED
    assert list(yaml.safe_load_all(to_yaml(made))) == made


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"1.{version[1]}")
@pytest.mark.parametrize("pipeline", [PLAIN, DEPLOYING], ids=["plain", "deploying"])
def test_a_pipeline_is_valid_in_every_version(pipeline: ScheduledPipeline, version: tuple[int, int]) -> None:
    for thing in render(pipeline, Cluster(version=version)):
        assert_valid(thing, version)


def test_a_run_is_never_beside_another_is_tried_once_and_is_caught_up_once() -> None:
    spec = kinds(PLAIN)["CronJob"]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 3 * 86400 + 3600
    assert spec["timeZone"] == "Europe/Berlin"
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert "activeDeadlineSeconds" not in job
    assert kinds(DEPLOYING)["CronJob"]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 7200


def test_a_pipeline_that_deploys_nothing_may_keep_its_lease_and_nothing_else() -> None:
    [rule] = kinds(PLAIN)["Role"]["rules"]
    assert rule == {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["iris-pipeline"],
        "verbs": ["get", "patch"],
    }
    assert kinds(PLAIN)["Lease"]["metadata"]["name"] == "iris-pipeline"
    assert kinds(PLAIN)["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod(PLAIN)["automountServiceAccountToken"] is True


def test_a_pipeline_that_deploys_may_do_what_a_deploy_does_with_what_the_cluster_has() -> None:
    def allowed(cluster: Cluster) -> set[str]:
        return {name for rule in kinds(DEPLOYING, cluster)["Role"]["rules"] for name in rule["resources"]}

    usual = {"deployments", "services", "serviceaccounts", "networkpolicies", "horizontalpodautoscalers"}
    assert usual < allowed(CLUSTER)
    more = {"httproutes", "interceptorroutes", "scaledobjects", "servicemonitors", "inferenceservices"}
    assert allowed(FULL) - allowed(CLUSTER) == more
    never = {"secrets", "roles", "rolebindings", "cronjobs", "nodes", "namespaces", "*"}
    assert not allowed(FULL) & never


def test_a_pipeline_that_asks_for_the_champion_may_look_and_change_nothing() -> None:
    rules = kinds(replace(DEPLOYING, services="read"), FULL)["Role"]["rules"]
    assert {verb for rule in rules for verb in rule["verbs"] if rule["resources"] != ["leases"]} == {
        "get",
        "list",
        "watch",
    }


def test_state_is_on_the_claim_or_as_long_as_the_pod() -> None:
    def volume(pipeline: ScheduledPipeline) -> Any:
        return next(one for one in pod(pipeline)["volumes"] if one["name"] == "state")

    assert volume(PLAIN) == {"name": "state", "emptyDir": {}}
    assert volume(DEPLOYING)["persistentVolumeClaim"] == {"claimName": "iris-state"}
    env = {one["name"]: one["value"] for one in pod(DEPLOYING)["containers"][0]["env"]}
    assert env["TIFFIN_HOME"] == "/var/lib/tiffin"
    assert env["TIFFIN_LEASE"] == "models/iris-pipeline"


def test_data_on_a_claim_is_seen_where_the_project_has_it_and_never_written() -> None:
    [mount] = [one for one in pod(DEPLOYING)["containers"][0]["volumeMounts"] if one["name"] == "data-0"]
    assert mount == {"name": "data-0", "mountPath": "/pipeline/data", "readOnly": True}


def test_memory_has_a_limit_only_where_steps_have_one() -> None:
    def resources(pipeline: ScheduledPipeline) -> Any:
        return pod(pipeline)["containers"][0]["resources"]

    assert resources(PLAIN) == {"requests": {"cpu": "1", "memory": "1Gi"}}
    assert resources(DEPLOYING) == {
        "requests": {"cpu": "3500m", "memory": "6Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "6Gi", "nvidia.com/gpu": "1"},
    }


def test_who_is_needed_is_there_before_the_first_run_can_begin() -> None:
    order = [one["kind"] for one in in_order(render(PLAIN, replace(CLUSTER, makes_namespace=True)))]
    assert order[:2] == ["Namespace", "ServiceAccount"]
    assert order[-1] == "CronJob"


def test_a_pipeline_is_never_called_as_the_service_of_its_project() -> None:
    assert name_of("iris") == "iris-pipeline"
    assert name_of("iris", "every_night") == "iris-pipeline-every-night"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "iris." + "pipeline"}, "is no name for a pipeline"),
        ({"name": "i" * 53}, "at most 52"),
        ({"user": (0, 0)}, "does not run as root"),
        ({"state": "No Claim"}, "no name of a claim"),
        ({"data": (Mounted(path="../data", claim="flowers"),)}, "no path within the project"),
        ({"data": (Mounted(path="/etc", claim="flowers"),)}, "no path within the project"),
        ({"data": (Mounted(path="data", claim="a"), Mounted(path="data", claim="b"))}, "at one path"),
        ({"login": "a/b"}, "no name of a Secret"),
    ],
)
def test_what_no_cluster_can_make_true_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        render(replace(PLAIN, **change), CLUSTER)
    assert words in f"{caught.value.message}; {caught.value.hint}"


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"1\.29"):
        render(PLAIN, Cluster(version=(1, 29)))
