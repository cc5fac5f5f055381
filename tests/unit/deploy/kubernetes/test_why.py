"""What keeps a deployment from what is wanted is told from the cluster's own words, over plain objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiffin.deploy.kubernetes.why import newest_of, why
from tiffin.deploy.target import Finding

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
STARTED = "2026-11-21T12:00:00Z"
IMAGE = "registry.example/team/iris@sha256:00"


def deployment(*conditions: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": "iris", "uid": "d"},
        "spec": {"replicas": 2},
        "status": {"conditions": list(conditions)},
    }


def replicaset(number: int = 1, pods: int = 2, *conditions: dict[str, str]) -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": str(number)}
    metadata = {"name": f"iris-{number}", "uid": f"rs-{number}", "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": 2}, "status": {"replicas": pods, "conditions": list(conditions)}}


def pod(name: str = "iris-1-a", number: int = 1, **status: Any) -> dict[str, Any]:
    probe = {"periodSeconds": 5, "failureThreshold": 12}
    spec = {"containers": [{"name": "model", "startupProbe": probe, "resources": {"limits": {"memory": "1Gi"}}}]}
    metadata = {"name": name, "uid": name, "ownerReferences": [{"uid": f"rs-{number}"}]}
    return {"metadata": metadata, "spec": spec, "status": status}


def container(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "model", "image": IMAGE, "ready": False, **more}]


def event(reason: str, message: str, about: str = "iris-1-a", at: str = STARTED) -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": at, "involvedObject": {"name": about}}


def only(*pods: dict[str, Any], events: list[dict[str, Any]] | None = None, **more: Any) -> Finding:
    [finding] = why(deployment(), [replicaset()], pods, events or [], now=NOW, **more)
    return finding


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("failed to authorize: 401 Unauthorized", "docker-registry"),
        ("pull access denied, repository does not exist", "docker-registry"),
        (f"{IMAGE}: not found", "tiffin push"),
        ("manifest unknown", "tiffin push"),
        ("x509: certificate signed by unknown authority", "certificate"),
        ("http: server gave HTTP response to HTTPS client", "plain HTTP"),
        ("dial tcp: lookup registry.example on 10.0.0.10:53: no such host", "no such host"),
        ("dial tcp 10.1.1.1:443: connect: connection refused", "do not reach"),
        ("no match for platform in manifest: not found", "[image] platform"),
        ("write /var/lib: no space left on device", "disk"),
        ("something else", "kubectl describe pod"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_told_in_the_registrys_words(words: str, hint: str) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}"'}
    failed = event("Failed", f'Failed to pull image "{IMAGE}": {words}')
    found = only(pod(containerStatuses=container(state={"waiting": waiting})), events=[failed])
    assert words in found.message
    assert IMAGE in found.message
    assert hint in found.hint


def test_an_image_that_is_being_pulled_is_told_and_the_next_try_has_the_registrys_words() -> None:
    creating = pod(containerStatuses=container(state={"waiting": {"reason": "ContainerCreating"}}))
    creating["spec"]["nodeName"] = "node-7"
    pulling = event("Pulling", f'Pulling image "{IMAGE}"')
    assert only(creating, events=[pulling]).message.endswith("is pulling its image to node-7")
    failed = event("Failed", f'Failed to pull image "{IMAGE}": manifest unknown', at="2026-11-21T12:00:01Z")
    found = only(creating, events=[pulling, failed])
    assert "cannot pull" in found.message
    assert "tiffin push" in found.hint
    once_more = event("Pulling", f'Pulling image "{IMAGE}"', at="2026-11-21T12:00:02Z")
    assert "again: Failed to pull image" in only(creating, events=[pulling, failed, once_more]).message
    pulled = event("Pulled", "Successfully pulled image", at="2026-11-21T12:00:03Z")
    assert why(deployment(), [replicaset()], [creating], [pulling, failed, once_more, pulled], now=NOW) == []


def test_a_pull_secret_that_is_missing_is_named() -> None:
    waiting = {"reason": "ErrImagePull", "message": "unauthorized"}
    missing = event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred)")
    assert "regcred" in only(pod(containerStatuses=container(state={"waiting": waiting})), events=[missing]).hint


@pytest.mark.parametrize(
    ("words", "lacks"),
    [
        ("1 Insufficient cpu, 2 Insufficient memory", ["a smaller `[deploy] cpu`", "a smaller `[deploy] memory`"]),
        ("3 Insufficient nvidia.com/gpu", ["nvidia.com/gpu"]),
        ("3 node(s) had untolerated taint {gpu: true}", ["without the taint gpu: true"]),
        ("3 node(s) had untolerated taint(s)", ["without the taint"]),
        ("pod has unbound immediate PersistentVolumeClaims", ["why it is not bound"]),
        ('persistentvolumeclaim "features" not found', ["the claim features"]),
        ("3 node(s) were unschedulable", ["kubectl uncordon"]),
        ("3 node(s) didn't match Pod's node affinity/selector", ["labels that it asks for"]),
        ("something new", ["kubectl describe nodes"]),
    ],
)
def test_a_pod_that_no_node_takes_says_what_lacks(words: str, lacks: list[str]) -> None:
    message = f"0/3 nodes are available: {words}. preemption: 0/3 nodes are available: 3 Preemption is not helpful."
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = only(pod(phase="Pending", conditions=[unscheduled]))
    assert found.message == f"iris-1-a finds no node: {words}"
    assert all(lack in found.hint for lack in lacks)


def test_a_pod_that_is_gated_is_told_apart() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}
    assert "gates its scheduling" in only(pod(conditions=[gated])).message


def test_a_probe_that_fails_is_told_with_its_last_output() -> None:
    running = container(state={"running": {"startedAt": STARTED}}, started=True)
    events = [
        event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at="2026-11-21T12:00:20Z"),
        event("Unhealthy", "Readiness probe failed: connection refused", at="2026-11-21T12:00:10Z"),
    ]
    found = only(pod(containerStatuses=running), events=events, logs={"iris-1-a": ["no such column"]})
    assert found.message == "iris-1-a is not ready: its readiness probe heard: HTTP probe failed with statuscode: 503"
    assert found.log == ("no such column",)


def test_a_model_that_still_loads_is_told_with_the_time_it_has() -> None:
    loading = container(state={"running": {"startedAt": STARTED}}, started=False)
    events = [event("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503")]
    found = only(pod(containerStatuses=loading), events=events)
    assert "is still loading: it has run for 30 s and may take 60 s; its probe last heard: HTTP" in found.message
    assert "load-seconds" in found.hint


def test_one_that_was_killed_because_it_loaded_too_long_says_so() -> None:
    ended = {"exitCode": 137, "reason": "Error"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 20s"}
    killed = event("Killing", "Container model failed startup probe, will be restarted")
    crashed = container(state={"waiting": waiting}, lastState={"terminated": ended}, restartCount=1)
    found = only(pod(containerStatuses=crashed), events=[killed])
    assert found.message == "iris-1-a was killed because it had not come up 60 s after its start"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (
                'pods "iris-1-a" is forbidden: exceeded quota: small, requested: limits.memory=1Gi, '
                "used: limits.memory=0, limited: limits.memory=512Mi"
            ),
            "the quota small is used up: it asks for limits.memory=1Gi, and limits.memory=0 of limits.memory=512Mi",
        ),
        ('pods "iris" is forbidden: failed quota: small: must specify limits.cpu', "wants every pod to say limits.cpu"),
        (
            (
                'pods "iris" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
                '(container "model" must set securityContext.allowPrivilegeEscalation=false)'
            ),
            "only pods of the level restricted:latest: allowPrivilegeEscalation != false",
        ),
        (
            'admission webhook "policy.example" denied the request: no digests',
            "policy.example refuses them: no digests",
        ),
        ('error looking up service account a/iris: serviceaccount "iris" not found', "service account iris is missing"),
        ("pods is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi", "maximum memory usage"),
        ("who knows", "who knows"),
    ],
)
def test_pods_that_the_cluster_refuses_are_told_with_its_reason(words: str, said: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    [by_deployment] = why(deployment(failure), [replicaset(1, 0, failure)], [], [])
    [by_event] = why(deployment(), [replicaset(1, 0)], [], [event("FailedCreate", words, "iris-1")])
    assert said in by_deployment.message
    assert by_deployment == by_event
    assert by_event.hint
    assert why(deployment(), [replicaset(1, 2)], [], [event("FailedCreate", words, "iris-1")]) == []


def test_a_crash_is_told_with_its_last_words_and_how_often() -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s"}
    ended = {"exitCode": 1, "reason": "Error", "message": "Traceback\nValueError: no such model"}
    crashed = container(state={"waiting": waiting}, lastState={"terminated": ended}, restartCount=3)
    found = only(pod(containerStatuses=crashed))
    assert found.message == "iris-1-a ends with 1, 3 times so far"
    assert found.log == ("Traceback", "ValueError: no such model")
    assert only(pod(containerStatuses=crashed), logs={"iris-1-a": ["its log"]}).log == ("its log",)


def test_one_that_needs_more_memory_says_its_limit() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    crashed = container(state={"terminated": ended}, restartCount=1)
    found = only(pod(containerStatuses=crashed))
    assert found.message == "iris-1-a was killed for more memory than its limit of 1Gi, once so far"
    assert "[deploy] memory" in found.hint


@pytest.mark.parametrize(
    "status",
    [
        {
            "state": {
                "waiting": {"reason": "RunContainerError", "message": "exec /usr/bin/python3.11: exec format error"}
            }
        },
        {
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 255, "message": "exec format error"}},
        },
        {"state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec format error: unknown"}}},
    ],
)
def test_a_program_for_another_processor_is_told_as_that(status: dict[str, Any]) -> None:
    found = only(pod(containerStatuses=container(**status)))
    assert found.message == "iris-1-a has a program for another processor than its node's"
    assert "[image] platform" in found.hint


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (
            'secret "iris-token" not found',
            "the Secret iris-token is missing",
            "kubectl create secret generic iris-token",
        ),
        ('configmap "settings" not found', "the ConfigMap settings is missing", "kubectl create configmap settings"),
        ("couldn't find key token in Secret a/iris-token", "Secret a/iris-token has no key token", "[deploy] secrets"),
        ("container has runAsNonRoot and image will run as root", "runAsNonRoot", "USER by number"),
        ("another reason", "another reason", "kubectl describe pod"),
    ],
)
def test_what_a_container_waits_for_is_named(words: str, said: str, hint: str) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": words}
    found = only(pod(containerStatuses=container(state={"waiting": waiting})))
    assert said in found.message
    assert hint in found.hint


def test_a_secret_that_cannot_be_mounted_is_named_too() -> None:
    creating = container(state={"waiting": {"reason": "ContainerCreating"}})
    failed = event("FailedMount", 'MountVolume.SetUp failed for volume "secrets" : secret "iris-token" not found')
    assert only(pod(containerStatuses=creating), events=[failed]).message == (
        "iris-1-a cannot start: the Secret iris-token is missing"
    )
    other = event("FailedAttachVolume", "Multi-Attach error for volume")
    assert "waits for a volume: Multi-Attach" in only(pod(containerStatuses=creating), events=[other]).message
    sandbox = event("FailedCreatePodSandBox", "no network")
    assert "no sandbox" in only(pod(containerStatuses=creating), events=[sandbox]).message
    assert why(deployment(), [replicaset()], [pod(containerStatuses=creating)], []) == []


def test_a_pod_that_was_evicted_says_why() -> None:
    found = only(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert "low on resource: memory" in found.message


def test_replicas_with_the_same_trouble_are_one_finding() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    several = [pod(f"iris-1-{letter}", containerStatuses=container(state={"waiting": waiting})) for letter in "abc"]
    expected = "3 of 3 replicas are not ready, for the same reason: iris-1-a cannot pull"
    assert only(*several).message.startswith(expected)


def test_only_the_newest_revision_is_asked_for() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    old = pod("iris-1-a", 1, containerStatuses=container(state={"waiting": waiting}))
    assert why(deployment(), [replicaset(1), replicaset(2)], [old], []) == []
    assert newest_of([]) is None


def test_a_rollout_that_was_given_up_without_any_other_word_says_that() -> None:
    given_up = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    [found] = why(deployment(given_up), [replicaset()], [], [])
    assert "gave the rollout up" in found.message


def test_nothing_is_said_of_pods_that_are_ready_or_going() -> None:
    ready = pod(conditions=[{"type": "Ready", "status": "True"}])
    going = pod("iris-1-b", containerStatuses=container(state={"terminated": {"exitCode": 1}}))
    going["metadata"]["deletionTimestamp"] = STARTED
    assert why(deployment(), [replicaset()], [ready, going], []) == []
