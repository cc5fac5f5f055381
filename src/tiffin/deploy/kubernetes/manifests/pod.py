"""A pod that serves: one container, as little power as it needs, and a stop that loses no request."""

from __future__ import annotations

import math

from tiffin.config.quantities import write_cpu, write_memory
from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import CONTAINER, Object, Track
from tiffin.deploy.kubernetes.manifests.volumes import image_of, mounts, volumes
from tiffin.deploy.service import Template

PROPAGATION = 10
"""Seconds until every proxy of a cluster has heard that a pod is leaving; meanwhile it serves as before."""
FINISHING = 30
"""Seconds that our server takes at most for what is in flight when it is told to stop."""
MARGIN = 5
STARTUP_PERIOD = 2
GPU = "nvidia.com/gpu"
_SUPPLEMENTAL_GROUPS, _USER_NAMESPACES = (1, 36), (1, 36)
_DISK, _DISK_ASKED, _DISK_LIMIT = "ephemeral-storage", "256Mi", "4Gi"
_AS_ROOT = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID"]
"""What images that start as root do before they give it up; all of it is within the baseline profile."""


def pod_spec(track: Track, cluster: Cluster, container: str = CONTAINER) -> Object:
    """What a pod of this track is made of."""
    template = track.template
    return {
        "serviceAccountName": track.service,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **_own_users(template, cluster),
        "terminationGracePeriodSeconds": grace(template),
        "securityContext": pod_security(template.user, cluster),
        **_spread(track),
        **for_gpus(template.resources.gpus),
        "containers": [_container(template, cluster, container)],
        "volumes": volumes(template, cluster),
    }


def grace(template: Template) -> int:
    """Seconds from the word to stop to the kill: news of it, the drain, the longest request, and a margin."""
    finishing = max(FINISHING if template.inherits else 0, math.ceil(template.deadline_seconds))
    return PROPAGATION + math.ceil(template.drain_seconds) + finishing + MARGIN


def _own_users(template: Template, cluster: Cluster) -> Object:
    """Ids of its own for a pod without claims and GPUs: not every file system and device can be mapped."""
    able = cluster.user_namespaces and cluster.version >= _USER_NAMESPACES
    return {"hostUsers": False} if able and not template.data and not template.resources.gpus else {}


def pod_security(of: tuple[int, int], cluster: Cluster) -> Object:
    """As whom all of a pod runs: a user and a group by number; what it mounts is the group's too."""
    user, group = of
    able = cluster.strict_groups and cluster.version >= _SUPPLEMENTAL_GROUPS
    strict = {"supplementalGroupsPolicy": "Strict"} if able else {}
    return {
        **({"runAsNonRoot": True} if user else {}),
        "runAsUser": user,
        "runAsGroup": group,
        "fsGroup": group,
        "fsGroupChangePolicy": "OnRootMismatch",
        **strict,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _spread(track: Track) -> Object:
    """Over nodes and zones as evenly as they have room; an uneven pod is better than none."""
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": track.selector},
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ]
    }


def for_gpus(number: int) -> Object:
    """What lets a pod onto nodes that are kept for pods with GPUs."""
    return {"tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]} if number else {}


def _container(template: Template, cluster: Cluster, name: str) -> Object:
    user, _ = template.user
    powers = {"drop": ["ALL"]} if user else {"drop": ["ALL"], "add": _AS_ROOT}
    return {
        "name": name,
        "image": image_of(template, cluster),
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": port, "containerPort": number} for port, number in ports(template)],
        "env": _env(template),
        "resources": _resources(template),
        **_probes(template),
        "lifecycle": {"preStop": {"sleep": {"seconds": PROPAGATION}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": powers,
            "readOnlyRootFilesystem": template.inherits,
        },
        "volumeMounts": mounts(template, cluster),
    }


def _env(template: Template) -> list[Object]:
    """What the server is told of the place, and then what the user says, who has the last word."""
    cpus = template.resources.cpus
    own = {
        "TIFFIN_CPUS": f"{cpus:g}",
        "TIFFIN_DRAIN_SECONDS": f"{template.drain_seconds:g}",
        "TIFFIN_IMAGE": template.reference,
    }
    told = own if template.inherits else {"OMP_NUM_THREADS": str(max(math.floor(cpus), 1))}
    return [{"name": name, "value": value} for name, value in sorted((told | template.env).items())]


def _resources(template: Template) -> Object:
    """No limit on processors, since one that is reached stalls requests on an idle node; memory is what is promised.

    A root that is written to needs a bound; of a read-only one, `/tmp` has its own, and logs are the node's to rotate.
    """
    resources = template.resources
    memory = {"memory": write_memory(resources.memory)}
    gpus = {GPU: str(resources.gpus)} if resources.gpus else {}
    asked, limit = ({}, {}) if template.inherits else ({_DISK: _DISK_ASKED}, {_DISK: _DISK_LIMIT})
    return {
        "requests": {"cpu": write_cpu(resources.cpus), **memory, **asked, **gpus},
        "limits": {**memory, **limit, **gpus},
    }


def _probes(template: Template) -> Object:
    """Slow to give a start up, quick to take a replica out of service, slow to kill one.

    Being ready says nothing of being alive: without a path for that, an open port is enough.
    """
    probe, port = template.probe, main_port(template)
    tries = max(math.ceil(template.load_seconds / STARTUP_PERIOD), 1)
    ready, live = _ask(probe.ready, port), _ask(probe.live, port)
    return {
        "startupProbe": {**ready, "periodSeconds": STARTUP_PERIOD, "timeoutSeconds": 2, "failureThreshold": tries},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def _ask(path: str, port: str) -> Object:
    return {"httpGet": {"path": path, "port": port}} if path else {"tcpSocket": {"port": port}}


def main_port(template: Template) -> str:
    """The port that is probed and routed to: `http`, or the lowest that there is."""
    return "http" if "http" in template.ports else ports(template)[0][0]


def ports(template: Template) -> list[tuple[str, int]]:
    """Ports by number: the order of a table is no difference between revisions, but that of a pod's list would be."""
    return sorted(template.ports.items(), key=lambda port: port[1])
