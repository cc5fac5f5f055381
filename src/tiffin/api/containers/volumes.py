"""`volume`: the volumes of an engine, listed and removed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tiffin.api.containers.verbs import engine_of
from tiffin.engine.spec import Engine, HasVolumes, named_volumes
from tiffin.errors import UnsupportedError


class VolumeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A volume, as a list shows it."""

    name: str
    containers: list[str]


def volumes() -> list[VolumeRow]:
    """List the volumes that were made for containers, and the containers that have each now."""
    engine = engine_of()
    specs = [container.spec for container in engine.list()]
    return [
        VolumeRow(name=name, containers=[spec.name for spec in specs if name in named_volumes(spec)])
        for name in volumes_of(engine).volumes()
    ]


def remove(names: Sequence[str]) -> None:
    """Delete volumes; raises ConflictError for one that a container has, NotFoundError for one that is not there."""
    engine = volumes_of(engine_of())
    for name in names:
        engine.remove_volume(name)


def volumes_of(engine: Engine) -> HasVolumes:
    """The engine, as what keeps volumes."""
    if not isinstance(engine, HasVolumes):
        raise UnsupportedError("this engine keeps no volumes", "mount a folder: `-v ./data:/data`")
    return engine
