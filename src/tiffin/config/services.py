"""What `[deploy]` and `[environment.NAME]` may say beyond their types, each mistake with its place. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

import msgspec

from tiffin.config.deploy import DeploySection, EnvironmentSection, PrometheusSection, ReplicasSection, RolloutSection
from tiffin.config.project import Project
from tiffin.config.quantities import parse_cpu, parse_memory
from tiffin.errors import ConfigError

_ENVIRONMENT = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(rf"(?:\*\.)?{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PATH = re.compile(r"/[!-~]*")
_MOST_HOST = 253
_IN_A_REGISTRY = re.compile(r"(?:localhost|[^/\s@]*[.:][^/\s@]*)/[a-z0-9][a-z0-9._/-]*(?::[\w.-]{1,128})?", re.ASCII)

Section = DeploySection | EnvironmentSection
_UNSAID = DeploySection()


def service_mistakes(project: Project) -> Iterator[str]:
    """Say what is wrong with how a service is kept, in `[deploy]` and in every environment."""
    names = {data.name for data in project.data}
    yield from _section_mistakes(project.deploy, "$.deploy", names)
    for name, section in project.environment.items():
        place = f"$.environment.{name}"
        if not _ENVIRONMENT.fullmatch(name):
            yield f"an environment's name takes lower-case letters, digits and . _ - - at `{place}`"
        yield from _place_mistakes(section, place)
        yield from _section_mistakes(section, place, names)


def _place_mistakes(section: EnvironmentSection, place: str) -> Iterator[str]:
    for key, value in _of_a_cluster(section):
        if value and section.target != "kubernetes":
            yield f'`{key}` goes with target = "kubernetes" - at `{place}.{key}`'
    for key, what in (("name", "name of a service"), ("namespace", "namespace")):
        if (said := getattr(section, key)) and not _LABEL.fullmatch(said):
            yield f"{said!r} is no {what}: lower-case letters, digits and - - at `{place}.{key}`"
    if section.gateway and not re.fullmatch(rf"({_LABEL.pattern}/)?{_LABEL.pattern}", section.gateway):
        yield f"{section.gateway!r} is no Gateway: [NAMESPACE/]NAME - at `{place}.gateway`"
    yield from (
        f"{secret!r} is no name of a Secret - at `{place}.pull-secrets`"
        for secret in section.pull_secrets
        if not _HOST.fullmatch(secret)
    )
    address = section.prometheus.address
    if address and not re.fullmatch(r"https?://[!-~]+", address):
        yield f"{address!r} is no address: http://HOST:PORT - at `{place}.prometheus.address`"


def _of_a_cluster(section: EnvironmentSection) -> tuple[tuple[str, object], ...]:
    """The keys that only a cluster has, with what they say."""
    return (
        ("kube-context", section.kube_context),
        ("namespace", section.namespace),
        ("gateway", section.gateway),
        ("pull-secrets", section.pull_secrets),
        ("prometheus", section.prometheus != PrometheusSection()),
        ("kserve", section.kserve),
    )


def _section_mistakes(section: Section, place: str, data: set[str]) -> Iterator[str]:
    said = {
        key: value for key in DeploySection.__struct_fields__ if (value := getattr(section, key)) is not msgspec.UNSET
    }
    whole = msgspec.structs.replace(_UNSAID, **said)
    yield from _amount_mistakes(whole, place)
    if whole.push and not _IN_A_REGISTRY.fullmatch(whole.push):
        yield f"{whole.push!r} is no name in a registry: REGISTRY/NAME - at `{place}.push`"
    yield from _name_mistakes(whole, place, data)
    yield from _rollout_mistakes(whole.rollout, f"{place}.rollout")
    for key in ("ready", "live"):
        path = getattr(whole.probe, key)
        if path and not _PATH.fullmatch(path):
            yield f"{path!r} is no path of a URL: it begins with / - at `{place}.probe.{key}`"
    if isinstance(whole.replicas, ReplicasSection) and whole.replicas.min > whole.replicas.max:
        yield f"`min` {whole.replicas.min} is more than `max` {whole.replicas.max} - at `{place}.replicas`"


def _amount_mistakes(section: DeploySection, place: str) -> Iterator[str]:
    readers: tuple[tuple[str, Callable[[], object]], ...] = (
        ("cpu", lambda: parse_cpu(section.cpu)),
        ("memory", lambda: parse_memory(section.memory)),
    )
    for key, read in readers:
        try:
            read()
        except ConfigError as error:
            yield f"{error.message}: {error.hint} - at `{place}.{key}`"
    if not math.isfinite(section.target_concurrency):
        yield f"`target-concurrency` is a number of requests - at `{place}.target-concurrency`"


def _rollout_mistakes(rollout: RolloutSection, place: str) -> Iterator[str]:
    if not (rollout.max_surge or rollout.max_unavailable):
        yield f"`max-surge` and `max-unavailable` are both 0, so that nothing could ever be replaced - at `{place}`"
    for key in ("min-ready-seconds", "progress-seconds"):
        if not math.isfinite(getattr(rollout, key.replace("-", "_"))):
            yield f"`{key}` is a number of seconds - at `{place}.{key}`"
    if rollout.progress_seconds <= rollout.min_ready_seconds:
        yield f"`progress-seconds` is more than `min-ready-seconds` - at `{place}.progress-seconds`"


def _name_mistakes(section: DeploySection, place: str, data: set[str]) -> Iterator[str]:
    for name in section.env:
        if not _VARIABLE.fullmatch(name):
            yield f"{name!r} is no name of a variable - at `{place}.env`"
    for name in section.secrets:
        if not _SECRET.fullmatch(name):
            yield f"{name!r} is no name of a file in /run/secrets - at `{place}.secrets`"
    for name in section.data:
        if name not in data:
            known = f"there is {', '.join(sorted(data))}" if data else "there is none"
            yield f"no [[data]] is called {name!r}: {known} - at `{place}.data`"
    yield from _source_mistakes(section, place)
    if section.host and (not _HOST.fullmatch(section.host) or len(section.host) > _MOST_HOST):
        yield f"{section.host!r} is no name of a host - at `{place}.host`"


def _source_mistakes(section: DeploySection, place: str) -> Iterator[str]:
    for key, sources, kinds in (
        ("secrets", section.secrets, "a file, or a Secret of the cluster"),
        ("data", section.data, "a folder or a volume, or a claim of the cluster"),
    ):
        for name, source in sources.items():
            if not source:
                yield f"`{name}` names {kinds} - at `{place}.{key}.{name}`"
