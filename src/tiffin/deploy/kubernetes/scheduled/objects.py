"""A pipeline as a cluster's objects: a CronJob, the Lease of whoever runs it, and an account that may do little."""

from __future__ import annotations

from tiffin.config.quantities import write_cpu, write_memory
from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import COMPONENT, Object, labels, make
from tiffin.deploy.kubernetes.manifests.place import account, namespace
from tiffin.deploy.kubernetes.manifests.pod import GPU, for_gpus, pod_security
from tiffin.deploy.kubernetes.scheduled.check import check
from tiffin.deploy.kubernetes.scheduled.pipeline import SUFFIX, Room, ScheduledPipeline
from tiffin.deploy.kubernetes.scheduled.rights import rights
from tiffin.deploy.kubernetes.security import Profile

CONTAINER = "pipeline"
BY_HAND = "tiffin.dev/by-hand"
"""The annotation of a CronJob with what a run by hand tells the image, a word a line."""
STATE = "/var/lib/tiffin"
PROJECT = "/pipeline"
"""Where the image has the project's folder."""
_LOGIN = "/run/secrets/registry"
_KEPT = 3
"""Jobs that ended well, and that did not, of which the cluster keeps the logs."""
_STOP = 60
"""Seconds that a run has to stop its steps and remember how far it came."""
_LEAST_MEMORY = 1 << 30
"""Bytes that a run asks for whose steps do not say what they need."""


def render(pipeline: ScheduledPipeline, cluster: Cluster) -> list[Object]:
    """Write down what the cluster is asked for.

    Raises ConfigError for what no cluster can make true, UnsupportedError for what this one cannot.
    """
    check(pipeline, cluster)
    place = [namespace(cluster, Profile.RESTRICTED)] if cluster.makes_namespace else []
    return [
        *place,
        account(pipeline.name, cluster),
        *rights(pipeline, cluster),
        make("networking.k8s.io/v1", "NetworkPolicy", _about(pipeline, cluster), spec=_closed(pipeline)),
        make("coordination.k8s.io/v1", "Lease", _about(pipeline, cluster)),
        cron_job(pipeline, cluster),
    ]


def cron_job(pipeline: ScheduledPipeline, cluster: Cluster) -> Object:
    """Have a run begun at its times, never beside another, and once for all the times that were missed."""
    about = _about(pipeline, cluster)
    spec = {
        "schedule": pipeline.times.schedule,
        "timeZone": pipeline.times.zone,
        "startingDeadlineSeconds": pipeline.times.window,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": _KEPT,
        "failedJobsHistoryLimit": _KEPT,
        "jobTemplate": {"metadata": {"labels": about["labels"]}, "spec": _job(pipeline, cluster)},
    }
    annotations = {BY_HAND: "\n".join(pipeline.by_hand)}
    return make("batch/v1", "CronJob", {**about, "annotations": annotations}, spec=spec)


def _about(pipeline: ScheduledPipeline, cluster: Cluster) -> Object:
    own = {**labels(pipeline.name), COMPONENT: SUFFIX, "app.kubernetes.io/part-of": pipeline.project}
    return {"name": pipeline.name, "namespace": cluster.namespace, "labels": own}


def _closed(pipeline: ScheduledPipeline) -> Object:
    """Nobody asks a pipeline anything; it asks registries, and whomever its steps with a network do."""
    return {"podSelector": {"matchLabels": labels(pipeline.name)}, "policyTypes": ["Ingress"], "ingress": []}


def _job(pipeline: ScheduledPipeline, cluster: Cluster) -> Object:
    """One try: what failed is run again when it is due, and steps have retries of their own."""
    notes = {
        "kubectl.kubernetes.io/default-container": CONTAINER,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }
    return {
        "backoffLimit": 0,
        **({"activeDeadlineSeconds": pipeline.seconds} if pipeline.seconds else {}),
        "template": {
            "metadata": {"labels": _about(pipeline, cluster)["labels"], "annotations": notes},
            "spec": _pod(pipeline, cluster),
        },
    }


def _pod(pipeline: ScheduledPipeline, cluster: Cluster) -> Object:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": pipeline.name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _STOP,
        "securityContext": pod_security(pipeline.user, cluster),
        **for_gpus(pipeline.room.gpus),
        "containers": [_container(pipeline, cluster)],
        "volumes": _volumes(pipeline),
    }


def _container(pipeline: ScheduledPipeline, cluster: Cluster) -> Object:
    return {
        "name": CONTAINER,
        "image": pipeline.reference,
        "imagePullPolicy": "IfNotPresent",
        "args": list(pipeline.words),
        "env": _env(pipeline, cluster),
        "resources": _resources(pipeline.room),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": _mounts(pipeline),
    }


def _env(pipeline: ScheduledPipeline, cluster: Cluster) -> list[Object]:
    """What a run is told: where its state is and layers are, whose turn it is by which Lease, which cluster this is."""
    own = {
        "TIFFIN_HOME": STATE,
        "TIFFIN_LAZY_FROM": pipeline.image,
        "TIFFIN_LEASE": f"{cluster.namespace}/{pipeline.name}",
        **({"TIFFIN_CONTEXT": pipeline.context} if pipeline.context else {}),
        **({"DOCKER_CONFIG": _LOGIN} if pipeline.login else {}),
    }
    return [{"name": name, "value": value} for name, value in sorted(own.items())]


def _resources(room: Room) -> Object:
    """As of services: memory is what is promised, processors are shared. Memory has a limit where steps have one."""
    memory = {"memory": write_memory(room.memory or _LEAST_MEMORY)}
    gpus = {GPU: str(room.gpus)} if room.gpus else {}
    limits = {**(memory if room.bounded else {}), **gpus}
    return {"requests": {"cpu": write_cpu(room.cpus), **memory, **gpus}, **({"limits": limits} if limits else {})}


def _volumes(pipeline: ScheduledPipeline) -> list[Object]:
    kept = {"persistentVolumeClaim": {"claimName": pipeline.state}} if pipeline.state else {"emptyDir": {}}
    made: list[Object] = [{"name": "tmp", "emptyDir": {}}, {"name": "state", **kept}]
    if pipeline.room.gpus:
        made.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
    if pipeline.login:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        made.append(
            {"name": "registry", "secret": {"secretName": pipeline.login, "defaultMode": 0o440, "items": items}}
        )
    for number, each in enumerate(pipeline.data):
        source = {"claimName": each.claim, "readOnly": True}
        made.append({"name": f"data-{number}", "persistentVolumeClaim": source})
    return made


def _mounts(pipeline: ScheduledPipeline) -> list[Object]:
    made: list[Object] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container
        {"name": "state", "mountPath": STATE},
    ]
    if pipeline.room.gpus:
        made.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - a path inside the container
    if pipeline.login:
        made.append({"name": "registry", "mountPath": _LOGIN, "readOnly": True})
    for number, each in enumerate(pipeline.data):
        made.append({"name": f"data-{number}", "mountPath": f"{PROJECT}/{each.path}", "readOnly": True})
    return made
