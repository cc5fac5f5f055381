"""The embedded engine: containers without docker and without root, on bubblewrap."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.engine.data import refuse
from tiffin.engine.devices import find_devices
from tiffin.engine.embedded import stage
from tiffin.engine.embedded.container import EmbeddedContainer
from tiffin.engine.embedded.devices import refuse_groups
from tiffin.engine.embedded.folder import Folders, Owner, absent
from tiffin.engine.embedded.ids import Identity, identity, one_user, refuse_without_ids, several
from tiffin.engine.embedded.keepers import Begin, execute
from tiffin.engine.embedded.launch import Stack, launch, refuse_what_cannot_be
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.unpacked import Unpack, Unpacked
from tiffin.engine.embedded.volumes import Volumes
from tiffin.engine.looking import data_obstacles, root_or_self
from tiffin.engine.refused import used_volume
from tiffin.engine.spec import ContainerSpec, Mount, Obstacle, Status, named_volumes
from tiffin.oci.image import Image
from tiffin.oci.store import Store


class EmbeddedEngine:
    """Runs containers of a data folder: `unpacked/`, `containers/`, `volumes/` in it; several processes may at once."""

    def __init__(self, data: Path, unpack: Unpack, begin: Begin = execute) -> None:
        """`begin` is how keepers of its containers are begun."""
        self._begin = begin
        self._unpacked = Unpacked(data / "unpacked", unpack)
        self._folders = Folders(data / "containers")
        self._volumes = Volumes(data / "volumes")

    def load(self, store: Store, image: Image) -> None:
        """Unpack the layers that are not unpacked yet."""
        self._unpacked.add(store, dict(zip(image.config.rootfs.diff_ids, image.manifest.layers, strict=True)))

    def refuse(self, spec: ContainerSpec) -> None:
        """Refuse what no container of this engine can have."""
        refuse_what_cannot_be(spec)

    def create(self, spec: ContainerSpec) -> EmbeddedContainer:
        """Make a container of loaded layers, and its volumes; what could not run is refused here already."""
        machine = Machine.here()
        self._launch(spec, None, machine)
        who, root = _owners(spec, machine)
        for name in named_volumes(spec):
            self._volumes.make(name, who.host)
            if not self._users(name):
                self._volumes.give(name, who.host)
        return self._container(self._folders.make(spec, who.host, root))

    def decide(self, spec: ContainerSpec, path: Path) -> tuple[stage.Launch, Owner | None, Owner | None]:
        """Decide how a container in a folder would be started, and whose its processes and its files are."""
        machine = Machine.here()
        who, root = _owners(spec, machine)
        return self._launch(spec, path / "root", machine), who.host, root

    def find(self, name: str) -> EmbeddedContainer:
        """Find a container by its name or ID; raises NotFoundError."""
        try:
            return self._container(self._folders.find(name))
        except FileNotFoundError:  # it has just been removed
            raise absent(name) from None

    def list(self) -> list[EmbeddedContainer]:
        """Every container, oldest first."""
        found = []
        for path in self._folders.all():
            with contextlib.suppress(FileNotFoundError):  # it has just been removed
                found.append(self._container(path))
        return found

    def volumes(self) -> Sequence[str]:
        """The volumes by name (see `HasVolumes`)."""
        return self._volumes.names()

    def export_volume(self, name: str, out: BinaryIO, owner: tuple[int, int]) -> None:
        """Write what is in a volume, whose files are all the container's user's."""
        self._volumes.export(name, out, Machine.here().become, owner)

    def import_volume(self, name: str, source: BinaryIO, owner: tuple[int, int]) -> None:  # noqa: ARG002 - there is one
        """Replace what is in a volume; raises ConflictError while a container that has it runs."""
        if users := [user for user in self._users(name) if user.state().status is Status.RUNNING]:
            raise used_volume(name, users[0].spec.name)
        self._volumes.replace(name, one_user(Machine.here().become).host, source)

    def remove_volume(self, name: str) -> None:
        """Delete a volume that no container has."""
        if users := self._users(name):
            raise used_volume(name, users[0].spec.name)
        self._volumes.remove(name)

    def _users(self, name: str) -> Sequence[EmbeddedContainer]:
        """The containers that have a volume."""
        return [container for container in self.list() if name in named_volumes(container.spec)]

    def _container(self, path: Path) -> EmbeddedContainer:
        return EmbeddedContainer(self._folders, path, self._decide, self._begin)

    def _decide(self, spec: ContainerSpec, root: Path) -> stage.Launch:
        return self._launch(spec, root, Machine.here())

    def _launch(self, spec: ContainerSpec, root: Path | None, machine: Machine) -> stage.Launch:
        # A layer twice would be two lower folders of one overlay, which the kernel refuses; the upper one decides.
        distinct = list(dict.fromkeys(reversed(spec.layers)))[::-1]
        refuse_without_ids(spec, machine.ids)
        devices = find_devices(spec.devices)
        refuse_groups(devices, os.getgroups(), root=machine.become is not None)
        refuse(_obstacles(spec, machine))
        folders = self._unpacked.folders(distinct)
        trees = self._unpacked.owned(distinct, machine.ids) if machine.ids and several(spec) else folders
        return launch(self._placed(spec), Stack(folders=folders, trees=trees, root=root), machine, devices)

    def obstacles(self, spec: ContainerSpec) -> Sequence[Obstacle]:
        """Say what would keep it from starting here (see `Foresees`)."""
        return _obstacles(spec, Machine.here())

    def _placed(self, spec: ContainerSpec) -> ContainerSpec:
        """Say of each volume where it lies."""
        mounts = (_placed(mount, self._volumes) if mount.volume else mount for mount in spec.mounts)
        return msgspec.structs.replace(spec, mounts=tuple(mounts))


def _owners(spec: ContainerSpec, machine: Machine) -> tuple[Identity, Owner | None]:
    """Who the processes of a container are, and whose its root's files are where that is somebody else."""
    who = identity(spec, machine.become, machine.ids)
    return who, machine.ids.seen(0, 0) if machine.ids and who.maps and who.host else None


def _placed(mount: Mount, volumes: Volumes) -> Mount:
    return msgspec.structs.replace(mount, source=str(volumes.place(mount.source)))


def _obstacles(spec: ContainerSpec, machine: Machine) -> Sequence[Obstacle]:
    host = identity(spec, machine.become, machine.ids).host
    return data_obstacles(spec, root_or_self(host[0] if host else None))
