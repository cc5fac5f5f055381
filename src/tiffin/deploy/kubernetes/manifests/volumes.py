"""What a pod finds in its file system beside its image: weights, data, secrets, and room to write."""

from __future__ import annotations

import re

from tiffin.deploy.kubernetes.manifests.cluster import Cluster
from tiffin.deploy.kubernetes.manifests.names import Object
from tiffin.deploy.service import Data, SecretFile, Template, Weights
from tiffin.errors import UnsupportedError

SMALL = 256 << 20
"""Bytes of weights up to which a mount of their own is not worth a second pull."""
SECRETS = "/run/secrets"
OWN = ("/tmp", "/dev/shm", SECRETS)  # noqa: S108 - paths inside the container
_MOUNTABLE, _BY_DEFAULT = (1, 33), (1, 35)
_READ_BY_GROUP = 0o440
_SCRATCH = "1Gi"


def volumes(template: Template, cluster: Cluster) -> list[Object]:
    """The volumes of a pod; each is mounted by `mounts`."""
    weights = mounted_weights(template.weights, cluster.version)
    made: list[Object] = [{"name": "tmp", "emptyDir": {"sizeLimit": _SCRATCH}}]
    if template.resources.gpus:
        made.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
    if weights:
        made.append({"name": "weights", "image": {"reference": weights.reference, "pullPolicy": "IfNotPresent"}})
    if template.secrets:
        sources = [_projection(secret) for secret in template.secrets]
        made.append({"name": "secrets", "projected": {"defaultMode": _READ_BY_GROUP, "sources": sources}})
    made += [{"name": _volume(data), "persistentVolumeClaim": {"claimName": data.source}} for data in template.data]
    return made


def mounts(template: Template, cluster: Cluster) -> list[Object]:
    """Where the volumes of a pod are seen."""
    weights = mounted_weights(template.weights, cluster.version)
    made: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - a path inside the container
    if template.resources.gpus:
        made.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - a path inside the container
    if weights:
        made.append({"name": "weights", "mountPath": weights.path, "subPath": "models", "readOnly": True})
    if template.secrets:
        made.append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
    made += [{"name": _volume(data), "mountPath": data.path, "readOnly": not data.write} for data in template.data]
    return made


def mounted_weights(weights: Weights | None, version: tuple[int, int]) -> Weights | None:
    """Decide whether weights are mounted from an image of their own.

    Weights that the service's image has as well are mounted only where that pays and where every cluster of the version
    can: before 1.35 image volumes are switched off unless somebody switched them on, and an API server without them
    drops the field and leaves an empty folder over the weights. Those that are nowhere else are mounted from 1.33 on.
    Raises UnsupportedError before that.
    """
    if weights is None or (weights.inside and (weights.size <= SMALL or version < _BY_DEFAULT)):
        return None
    if version < _MOUNTABLE:
        raise UnsupportedError(
            f"Kubernetes {version[0]}.{version[1]} cannot mount the weights image {weights.reference}",
            "use a cluster of 1.33 or later, or build an image that has its weights inside",
        )
    return weights


def image_of(template: Template, cluster: Cluster) -> str:
    """The image of a pod: without the weights, where they are mounted and there is such a one."""
    weights = mounted_weights(template.weights, cluster.version)
    return f"{template.image}@{weights.rest}" if weights and weights.rest else template.reference


def _projection(secret: SecretFile) -> Object:
    name, _, key = secret.source.partition("/")
    return {"secret": {"name": name, "items": [{"key": key or secret.name, "path": secret.name}]}}


def _volume(data: Data) -> str:
    """A volume's name for a `[[data]]`, whose names may have dots and underscores."""
    return "data-" + re.sub(r"[._]", "-", data.name)
