"""What no cluster can make true is refused before anything is rendered, with what to write instead."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from tiffin.deploy.kubernetes.manifests.cluster import OLDEST, Canary, Cluster
from tiffin.deploy.kubernetes.manifests.volumes import OWN
from tiffin.deploy.service import Replicas, Rollout, Service, Template
from tiffin.errors import ConfigError, UnsupportedError

LONGEST_NAME = 52
"""Letters of a service's name: what is made of it (`-canary`, `-predictor`) has to fit the 63 of a DNS label."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
_IMAGE = re.compile(r"[A-Za-z0-9\[][\w.:/\[\]-]*", re.ASCII)
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[!-<>-~]+")
_SMALLEST_CPU, _LARGEST_CPU = 0.001, 4096
_SMALLEST_MEMORY, _LARGEST_MEMORY = 8 << 20, 1 << 50
_MOST_GPUS = 1024
_SMALLEST_SHARE = 0.1
_MOST_REPLICAS = 10_000
_LARGEST_PORT, _LARGEST_USER, _LONGEST_SECONDS = 65535, 2**31 - 1, 86_400
_MOST_REQUESTS = 10**6

Refusals = Iterator[tuple[str, str]]
Thing = TypeVar("Thing", str, int)


def check(service: Service, cluster: Cluster, canary: Canary | None) -> None:
    """Refuse the first thing that cannot be; raises ConfigError, or UnsupportedError where another cluster could."""
    _check_cluster(service, cluster, canary)
    templates = [service.template, *([canary.template] if canary else [])]
    refusals = [
        *_names(service, cluster),
        *_replicas(service.replicas),
        *_rollout(service.rollout),
        *(refusal for template in templates for refusal in _template(template)),
        *(_share(canary) if canary else ()),
    ]
    if refusals:
        raise ConfigError(*refusals[0])


def _check_cluster(service: Service, cluster: Cluster, canary: Canary | None) -> None:
    if cluster.version < OLDEST:
        raise UnsupportedError(
            f"Kubernetes {cluster.version[0]}.{cluster.version[1]} is too old to stop replicas without loss",
            "Kubernetes 1.33 to 1.37 are supported, 1.30 to 1.32 with less; upgrade the cluster",
        )
    if service.host and not cluster.routes:
        raise UnsupportedError(
            f"`host` = {service.host} needs a Gateway (Gateway API, HTTPRoute), and none is known of on this cluster",
            "install a gateway and name it, or leave `host` out and lead requests to the Service yourself",
        )
    if canary and not service.replicas.least:
        raise UnsupportedError(
            f"a canary beside {service.name} needs replicas that stay, and it may go down to 0",
            "write `min = 1` in `[deploy] replicas` while the canary is there",
        )


def _names(service: Service, cluster: Cluster) -> Refusals:
    name = service.name
    if not _LABEL.fullmatch(name) or name[0].isdigit() or len(name) > LONGEST_NAME:
        yield (
            f"{name!r} is no name for a service on Kubernetes",
            f"`name` takes lower-case letters, digits and `-` there, a letter first, at most {LONGEST_NAME} of them",
        )
    if not _LABEL.fullmatch(cluster.namespace):
        yield f"{cluster.namespace!r} is no name of a namespace", "it takes lower-case letters, digits and `-`"
    if service.host and not _SUBDOMAIN.fullmatch(service.host.removeprefix("*.")):
        yield f"`host` = {service.host!r} is no host name", 'write it without scheme and port: "iris.example"'
    for secret in cluster.pull_secrets:
        if not _SUBDOMAIN.fullmatch(secret):
            yield f"{secret!r} is no name of a Secret", "name the Secret with which the cluster pulls images"


def _replicas(replicas: Replicas) -> Refusals:
    if not 0 <= replicas.least <= replicas.most <= _MOST_REPLICAS:
        said = f"{replicas.least} to {replicas.most} replicas cannot be"
        yield said, f"`min` is at most `max`, and `max` at most {_MOST_REPLICAS}"
    if not _within(replicas.concurrency, _SMALLEST_CPU, _MOST_REQUESTS):
        yield (
            f"`target-concurrency` = {replicas.concurrency} cannot be",
            "say how many requests a replica should have, as 8",
        )


def _rollout(rollout: Rollout) -> Refusals:
    if rollout.surge < 0 or rollout.unavailable < 0 or not rollout.surge + rollout.unavailable:
        yield (
            "a rollout that may neither add a replica nor take one away never ends",
            "write `max-surge = 1`, or `max-unavailable = 1` where there is no room for one more",
        )
    spans = (rollout.ready_seconds, rollout.progress_seconds)
    fine = all(_within(seconds, 0, _LONGEST_SECONDS) for seconds in spans)
    if not fine or math.ceil(rollout.ready_seconds) >= math.ceil(rollout.progress_seconds):
        yield (
            f"`progress-seconds` = {rollout.progress_seconds:g} is over before `min-ready-seconds` are",
            "give a rollout longer than one replica has to be ready for",
        )
    if rollout.history < 1:
        yield "without history there is no way back", "write `history = 1` or more"


def _template(template: Template) -> Refusals:
    yield from _image(template)
    yield from _resources(template)
    yield from _ports(template)
    yield from _variables(template)
    yield from _files(template)


def _image(template: Template) -> Refusals:
    named = [template.image, *([template.weights.image] if template.weights else [])]
    for image in named:
        if not _IMAGE.fullmatch(image):
            yield f"{image!r} is no name that a cluster can pull", "push the image and name it as REGISTRY/NAME"
    if not all(0 <= one <= _LARGEST_USER for one in template.user):
        yield f"a container cannot run as {template.user}", "a user and a group are numbers below 2147483648"
    spans = (template.load_seconds, template.deadline_seconds, template.drain_seconds)
    if not all(_within(seconds, 0, _LONGEST_SECONDS) for seconds in spans):
        yield "a time to load, answer or drain is negative or longer than a day", "look at the seconds in `[serve]`"


def _resources(template: Template) -> Refusals:
    wanted = template.resources
    if not _within(wanted.cpus, _SMALLEST_CPU, _LARGEST_CPU):
        yield f"no node has {wanted.cpus:g} processors to give", 'write cpu = "1" or "500m"'
    if not _SMALLEST_MEMORY <= wanted.memory <= _LARGEST_MEMORY:
        yield f"no replica can live on {wanted.memory} bytes of memory", 'write memory = "512Mi" or "2Gi"'
    if not 0 <= wanted.gpus <= _MOST_GPUS:
        yield f"no node has {wanted.gpus} GPUs to give", "write how many GPUs one replica has, as gpus = 1"


def _ports(template: Template) -> Refusals:
    if not template.ports:
        yield (
            "the image says no port, so nobody could ask it",
            "say in its Dockerfile what it listens on: `EXPOSE 8080`",
        )
    for name, number in template.ports.items():
        if not _PORT_NAME.fullmatch(name) or not 1 <= number <= _LARGEST_PORT:
            yield f"{name}: {number} is no port", "a port has a name of up to 15 letters and a number up to 65535"
    for number in _twice(list(template.ports.values())):
        yield f"two ports have the number {number}", "give each a number of its own"


def _variables(template: Template) -> Refusals:
    for name, value in template.env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            yield f"{name!r} is no variable that a container can have", "use letters, digits and `_` in `[deploy] env`"


def _files(template: Template) -> Refusals:
    for secret in template.secrets:
        name, slash, key = secret.source.partition("/")
        if not _SUBDOMAIN.fullmatch(name) or (slash and not _KEY.fullmatch(key)) or not _is_file(secret.name):
            yield (
                f"the secret {secret.name!r} cannot come from {secret.source!r} on Kubernetes",
                'name a Secret of the namespace, and its key where that has another name: "SECRET/KEY"',
            )
    for data in template.data:
        if not _SUBDOMAIN.fullmatch(data.source):
            yield (
                f"{data.source!r} is no claim that {data.name} could be mounted from",
                "name a PersistentVolumeClaim of the namespace in `[deploy] data`",
            )
    yield from _places(template)
    for name in _twice([secret.name for secret in template.secrets]):
        yield f"two secrets are called {name}", "give each a name of its own"


def _places(template: Template) -> Refusals:
    weights = [template.weights.path] if template.weights else []
    paths = [*OWN, *weights, *(data.path for data in template.data)]
    for path in paths:
        if not re.fullmatch(r"(?:/[^/:\s]+)+", path):
            yield f"{path!r} is no place to mount anything", "write an absolute path without `:`, and not `/` itself"
    for path in _twice(paths):
        yield f"two things would be mounted at {path}", "give each a place of its own"
    for name in _twice([re.sub(r"[._]", "-", data.name) for data in template.data]):
        yield f"two data are called {name} on Kubernetes, where `.` and `_` are `-`", "give each a name of its own"
    for data in template.data:
        if not _LABEL.fullmatch("data-" + re.sub(r"[._]", "-", data.name)):
            yield f"{data.name!r} is too long or odd a name for data", "use up to 58 lower-case letters, digits and `-`"


def _share(canary: Canary) -> Refusals:
    if not _within(canary.percent, _SMALLEST_SHARE, 100):
        yield f"a canary cannot have {canary.percent:g} % of the requests", "write 0.1 at least, and at most 100"


def _is_file(name: str) -> bool:
    return bool(_KEY.fullmatch(name)) and name not in (".", "..")


def _within(value: float, least: float, most: float) -> bool:
    return math.isfinite(value) and least <= value <= most


def _twice(things: list[Thing]) -> list[Thing]:
    return [thing for thing, times in Counter(things).items() if times > 1]
