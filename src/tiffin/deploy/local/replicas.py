"""Replicas as containers of an engine: how one is made of a template, and which of them there are, by their labels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from tiffin.deploy.local.names import HOSTS, INSIDE
from tiffin.deploy.local.others import PORT, free_port
from tiffin.deploy.service import Template
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import Container, Engine, Limits, Mount, Network, Port, Secret, State, Status, Surveys
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest

SERVICE, REVISION, HOME = "dev.tiffin.service", "dev.tiffin.revision", "dev.tiffin.home"
LIFE = "dev.tiffin.life"
"""Which life of a service a replica belongs to: one that was deleted, or forgotten, may come again by the same name."""
MEETING = "/run/tiffin"
"""Where a worker's container sees the folder with its front's socket."""
HALL = "hall"
SOCKET = "worker.sock"
_LONGEST = 40


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A replica's container and what it is doing."""

    container: Container
    state: State
    service: str
    revision: int
    life: str

    @property
    def name(self) -> str:
        """What it is called, by its engine, by its worker, and in status and logs."""
        return self.container.spec.name


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a replica is: a service of this home, one of its revisions, and the folder where that one's front is."""

    home: str
    service: str
    revision: int
    token: str
    folder: Path


def options_of(template: Template, place: Place) -> RunOptions:
    """Say how a replica of a template runs: the worker of its image, with a way to its front.

    An image that is not tiffin's has a port that its relay reaches; on the machine's network it is told which (PORT).
    """
    name = f"{place.service[:_LONGEST]}-{place.revision}-{os.urandom(3).hex()}"
    resources = template.resources
    network, port = Network(template.network), template.ports.get("http", 0)
    own = {SERVICE: place.service, REVISION: str(place.revision), HOME: place.home, LIFE: life_of(place.token)}
    env, publish, mounts = dict[str, str](), tuple[Port, ...](), list[Mount]()
    if template.inherits:
        env = _meeting(template, place, name)
        mounts.append(Mount(source=str(place.folder / HALL), target=MEETING))
    elif network is Network.HOST:
        own[PORT] = str(free_port())
        env = {"PORT": own[PORT]}
    else:
        publish = (Port(container_port=port),)
    if network is Network.HOST and (hosts := place.folder.parent.parent / HOSTS).is_file():
        mounts.append(Mount(source=str(hosts), target=INSIDE))
    data = [
        Mount(source=one.source, target=one.path, read_only=not one.write, volume=not one.source.startswith("/"))
        for one in template.data
    ]
    return RunOptions(
        name=name,
        args=("worker",) if template.inherits else (),
        env={**template.env, **env},
        mounts=(*mounts, *data),
        publish=publish,
        network=network,
        secrets=tuple(Secret(name=one.name, source=one.source) for one in template.secrets),
        limits=Limits(memory=resources.memory, cpus=resources.cpus),
        gpus=str(resources.gpus) if resources.gpus else "",
        labels=own,
    )


def _meeting(template: Template, place: Place, name: str) -> dict[str, str]:
    """What a worker is told of its front."""
    return {
        "TIFFIN_WORKER_SOCKET": f"{MEETING}/{SOCKET}",
        "TIFFIN_WORKER_TOKEN": place.token,
        "TIFFIN_INSTANCE": name,
        "TIFFIN_IMAGE": str(template.digest),
    }


def survey(engine: Engine, home: str) -> list[Found]:
    """Every replica of this home, oldest first."""
    looked: Sequence[tuple[Container, State]]
    if isinstance(engine, Surveys):
        looked = engine.survey()
    else:
        looked = [found for container in engine.list() if (found := _looked_at(container, home)) is not None]
    return [
        Found(
            container=container,
            state=state,
            service=labels[SERVICE],
            revision=int(labels[REVISION]),
            life=labels.get(LIFE, ""),
        )
        for container, state in looked
        if (labels := container.spec.labels).get(HOME) == home and SERVICE in labels
    ]


def _looked_at(container: Container, home: str) -> tuple[Container, State] | None:
    if container.spec.labels.get(HOME) != home:
        return None
    with contextlib.suppress(NotFoundError):  # it has just been removed
        return container, container.state()
    return None


def life_of(token: str) -> str:
    """What tells this life of a service from others, without giving its token away."""
    return Digest.of(token.encode()).hex[:12]


def seconds_of(text: str) -> float:
    """Read a time of a container's state, in seconds since 1970; 0 where there is none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def last_words(container: Container, count: int = 20) -> tuple[str, ...]:
    """The last lines that it wrote."""
    with contextlib.suppress(NotFoundError, OSError):
        return tuple(line.text for line in list(container.logs())[-count:])
    return ()


def ended(state: State) -> bool:
    """Whether there is nothing left to stop: one that was made and never started is of no use either."""
    return state.status is not Status.RUNNING
