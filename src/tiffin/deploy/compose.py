"""A service, put together of what an image says, what tiffin.toml says and what was typed: a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.config.deploy import DeploySection, ReplicasSection, RolloutSection
from tiffin.config.quantities import parse_cpu, parse_memory
from tiffin.deploy.heard import probe_of
from tiffin.deploy.service import SERVER, Data, Probe, Replicas, Resources, Rollout, SecretFile, Service, Template
from tiffin.engine.declared import GpuNeed, declared_data, declared_gpu
from tiffin.engine.plan import SOCKETS, is_own, parse_sockets
from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest

HTTP, GRPC = "http", "grpc"
_MILLISECONDS = 1000


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of `serve` in an image's service.json to whoever keeps it running."""

    load_seconds: float = 600.0
    deadline_ms: float = 30_000.0
    drain_seconds: float = 1.0
    grpc: bool = False


class ServiceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of an image's service.json (spec/service.schema.json)."""

    name: str
    serve: Served = Served()


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says of itself: how whoever pulls names it, its labels, the ports it exposes, its user.

    `check` is its HEALTHCHECK, as docker writes it into the configuration.
    """

    image: str
    digest: Digest
    labels: Mapping[str, str] = {}
    exposed: Sequence[str] = ()
    user: tuple[int, int] = (0, 0)
    served: Served = Served()
    check: Mapping[str, Any] | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed, and wins: replicas as `3` or `1-4`, variables, the seconds after which a rollout is given up.

    `rollback` takes one back that is given up. `port` and `ready`, a path, are for images that are not tiffin's.
    """

    replicas: str = ""
    port: int | None = None
    ready: str = ""
    env: Mapping[str, str] = {}
    timeout: float | None = None
    rollback: bool = False


def compose(name: str, made: Made, said: DeploySection, asked: Asked, folder: Path | None) -> Service:
    """Put a service together; raises ConfigError for what the image needs and nobody gives it.

    `folder` is where paths of `[deploy] data` and `secrets` begin that are this machine's; None where they are a
    cluster's.
    """
    _check_gpus(made, said)
    served = made.served
    ports = _ports(made, asked.port or said.port)
    template = Template(
        image=made.image,
        digest=made.digest,
        ports=ports,
        inherits=SOCKETS in made.labels,
        probe=_probe(made, said, asked, ports),
        user=made.user,
        env={**said.env, **asked.env},
        secrets=tuple(
            SecretFile(name=key, source=_path(source, folder, volumes=False)) for key, source in said.secrets.items()
        ),
        data=tuple(_data(made, said, folder)),
        network=said.network,
        resources=Resources(cpus=parse_cpu(said.cpu), memory=parse_memory(said.memory), gpus=said.gpus),
        load_seconds=served.load_seconds,
        deadline_seconds=served.deadline_ms / _MILLISECONDS,
        drain_seconds=served.drain_seconds,
    )
    rollout = _rollout(said.rollout, asked)
    replicas = _replicas(said, asked, warms=folder is not None)
    return Service(name=name, template=template, replicas=replicas, rollout=rollout, host=said.host)


def parse_replicas(text: str) -> tuple[int, int]:
    """Read `3` or `1-4`: between how many replicas a service is kept."""
    least, dash, most = text.partition("-")
    numbers = [least, most] if dash else [least]
    if not all(number.isdecimal() for number in numbers) or int(numbers[0]) > int(numbers[-1]):
        raise ConfigError(f"not a number of replicas: {text!r}", "write it as `3`, or `1-4`")
    return int(numbers[0]), int(numbers[-1])


def _replicas(said: DeploySection, asked: Asked, *, warms: bool) -> Replicas:
    section = said.replicas
    if isinstance(section, int):
        section = ReplicasSection(min=section, max=section)
    least, most = section.min, section.max
    if section.warm:
        _check_warm(section, warms=warms)
    if asked.replicas:
        least, most = parse_replicas(asked.replicas)
    return Replicas(
        least=least,
        most=most,
        concurrency=said.target_concurrency,
        idle_seconds=section.idle_seconds,
        warm=section.warm,
    )


def _check_warm(section: ReplicasSection, *, warms: bool) -> None:
    if not warms:
        hint = "leave `warm` out of `[deploy] replicas`, or say `min = 1`"
        raise ConfigError("a cluster has no warm replicas: one that sleeps there is gone", hint)
    if section.min:
        raise ConfigError(
            f"`warm` is about a service that may have no replica, and this one has {section.min} at least",
            "write `min = 0`, or leave `warm` out",
        )


def _rollout(said: RolloutSection, asked: Asked) -> Rollout:
    return Rollout(
        surge=said.max_surge,
        unavailable=said.max_unavailable,
        ready_seconds=said.min_ready_seconds,
        progress_seconds=said.progress_seconds if asked.timeout is None else asked.timeout,
        history=said.history,
        rollback=asked.rollback or said.rollback_on_failure,
    )


def _ports(made: Made, said: int | None) -> dict[str, int]:
    """What it listens on by name; of an image that is not tiffin's the port that is said, else the first, is `http`."""
    if sockets := parse_sockets(made.labels.get(SOCKETS, "")):
        if said:
            raise ConfigError(f"{made.image} says itself on which ports it listens", "leave `[deploy] port` out")
        return {name: port for name, port in sockets.items() if name != GRPC or made.served.grpc}
    numbers = sorted(int(port.removesuffix("/tcp")) for port in made.exposed if port.removesuffix("/tcp").isdecimal())
    first = said or next(iter(numbers), None)
    if first is None:
        hint = "say it: `--port 8080`, or `[deploy] port`; its Dockerfile says so with EXPOSE"
        raise ConfigError(f"{made.image} does not say on which port it listens", hint)
    return {HTTP: first} | {f"port-{number}": number for number in numbers if number != first}


def _probe(made: Made, said: DeploySection, asked: Asked, ports: Mapping[str, int]) -> Probe:
    """How to hear that it is ready; tiffin's server is asked what it always answers."""
    ready, live = asked.ready or said.probe.ready, said.probe.live
    if not is_own(made.labels):
        return probe_of(ready, live, made.check, ports[HTTP])
    if ready or live:
        raise ConfigError(f"{made.image} says itself when it is ready", "leave `[deploy] probe` out")
    return SERVER


def _data(made: Made, said: DeploySection, folder: Path | None) -> Iterator[Data]:
    """What is behind every file or folder that the image must find."""
    declared = declared_data(made.labels)
    for one in declared:
        if not (source := said.data.get(one.name, "")):
            hint = f'say what is there: `[deploy] data = {{ {one.name} = "…" }}`'
            raise ConfigError(f"{made.image} needs data that nobody gives it: {one.name} in {one.path}", hint)
        yield Data(name=one.name, path=one.path, source=_path(source, folder, volumes=True), write=one.write)
    for name in said.data.keys() - {one.name for one in declared}:
        raise ConfigError(f"`[deploy] data` gives {made.image} {name}, which it does not ask for", "leave it out")


def _path(source: str, folder: Path | None, *, volumes: bool) -> str:
    """A path of this machine begins at the project's folder; where volumes may be meant, a bare word is one."""
    if folder is None or (volumes and "/" not in source and not source.startswith(".")):
        return source
    return str((folder / Path(source).expanduser()).absolute())


def _check_gpus(made: Made, said: DeploySection) -> None:
    if declared_gpu(made.labels) is GpuNeed.REQUIRED and not said.gpus:
        raise ConfigError(f"{made.image} needs a GPU, and [deploy] gives it none", "write `[deploy] gpus = 1`")
