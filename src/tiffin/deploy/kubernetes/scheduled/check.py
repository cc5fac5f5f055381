"""What no cluster can make true of a pipeline is refused before anything is rendered, with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tiffin.deploy.kubernetes.manifests.cluster import OLDEST, Cluster
from tiffin.deploy.kubernetes.scheduled.pipeline import ScheduledPipeline
from tiffin.errors import ConfigError, UnsupportedError

LONGEST_NAME = 52
"""Letters of a CronJob's name: eleven more name each of its Jobs."""
_LABEL = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


def check(pipeline: ScheduledPipeline, cluster: Cluster) -> None:
    """Refuse the first thing that cannot be; raises ConfigError, or UnsupportedError where another cluster could."""
    if cluster.version < OLDEST:
        said = f"Kubernetes {cluster.version[0]}.{cluster.version[1]} is too old for what is rendered"
        raise UnsupportedError(said, "Kubernetes 1.33 to 1.37 are supported, 1.30 to 1.32 with less")
    for said, hint in _refusals(pipeline, cluster):
        raise ConfigError(said, hint)


def _refusals(pipeline: ScheduledPipeline, cluster: Cluster) -> Iterator[tuple[str, str]]:
    name = pipeline.name
    if not _LABEL.fullmatch(name) or len(name) > LONGEST_NAME:
        yield (
            f"{name!r} is no name for a pipeline on Kubernetes",
            f"names take lower-case letters, digits and `-` there, a letter first, at most {LONGEST_NAME} in all",
        )
    if not _LABEL.fullmatch(cluster.namespace):
        yield f"{cluster.namespace!r} is no name of a namespace", "it takes lower-case letters, digits and `-`"
    if not pipeline.user[0]:
        yield "a pipeline does not run as root on a cluster", "let its image have a user by number"
    yield from _mounts(pipeline, cluster)


def _mounts(pipeline: ScheduledPipeline, cluster: Cluster) -> Iterator[tuple[str, str]]:
    claims = [pipeline.state, *(each.claim for each in pipeline.data)]
    for what, name in (*(("claim", claim) for claim in claims), ("Secret", pipeline.login)):
        if name and not _SUBDOMAIN.fullmatch(name):
            yield f"{name!r} is no name of a {what}", f"name a {what} of the namespace {cluster.namespace}"
    for each in pipeline.data:
        if not re.fullmatch(r"(?!/)[^:\s]+", each.path) or set(each.path.split("/")) & {"", ".", ".."}:
            yield f"{each.path!r} is no path within the project", "write it as `--data data=CLAIM`"
    if len({each.path for each in pipeline.data}) < len(pipeline.data):
        yield "two claims would be mounted at one path", "give each a path of its own"
