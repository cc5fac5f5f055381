"""The embedded engine: containers without docker and without root, on bubblewrap."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from tiffin.engine.data import refuse
from tiffin.engine.devices import find_devices
from tiffin.engine.embedded import stage
from tiffin.engine.embedded.container import EmbeddedContainer
from tiffin.engine.embedded.devices import refuse_groups
from tiffin.engine.embedded.folder import Folders, absent
from tiffin.engine.embedded.launch import launch
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.unpacked import Unpack, Unpacked
from tiffin.engine.looking import data_obstacles, root_or_self
from tiffin.engine.spec import ContainerSpec, Obstacle
from tiffin.oci.image import Image
from tiffin.oci.store import Store


class EmbeddedEngine:
    """Runs containers of a data folder, `unpacked/` and `containers/` in it; several processes may do so at once."""

    def __init__(self, data: Path, unpack: Unpack) -> None:
        self._unpacked = Unpacked(data / "unpacked", unpack)
        self._folders = Folders(data / "containers")

    def load(self, store: Store, image: Image) -> None:
        """Unpack the layers that are not unpacked yet."""
        self._unpacked.add(store, dict(zip(image.config.rootfs.diff_ids, image.manifest.layers, strict=True)))

    def create(self, spec: ContainerSpec) -> EmbeddedContainer:
        """Make a container of loaded layers; what could not run is refused here already."""
        self._decide(spec)
        return self._container(self._folders.make(spec, Machine.here().become))

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

    def _container(self, path: Path) -> EmbeddedContainer:
        return EmbeddedContainer(self._folders, path, self._decide)

    def _decide(self, spec: ContainerSpec) -> stage.Launch:
        # A layer twice would be two lower folders of one overlay, which the kernel refuses; the upper one decides.
        distinct = list(dict.fromkeys(reversed(spec.layers)))[::-1]
        machine = Machine.here()
        devices = find_devices(spec.devices)
        refuse_groups(devices, os.getgroups(), root=machine.become is not None)
        refuse(data_obstacles(spec, root_or_self(machine.become)))
        return launch(spec, self._unpacked.folders(distinct), machine, devices)

    def obstacles(self, spec: ContainerSpec) -> Sequence[Obstacle]:
        """Say what would keep it from starting here (see `Foresees`)."""
        return data_obstacles(spec, root_or_self(Machine.here().become))
