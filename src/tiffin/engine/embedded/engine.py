"""The embedded engine: containers without docker and without root, on bubblewrap."""

from __future__ import annotations

from pathlib import Path

from tiffin.engine.embedded import stage
from tiffin.engine.embedded.container import EmbeddedContainer
from tiffin.engine.embedded.folder import Folders
from tiffin.engine.embedded.ids import identity, refuse_without_ids, several
from tiffin.engine.embedded.launch import Stack, launch
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.unpacked import Unpack, Unpacked
from tiffin.engine.spec import ContainerSpec
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
        machine = Machine.here()
        self._decide(spec, None)
        who = identity(spec, machine.become, machine.ids)
        root = machine.ids.seen(0, 0) if machine.ids and who.maps and who.host else None
        return self._container(self._folders.make(spec, who.host, root))

    def find(self, name: str) -> EmbeddedContainer:
        """Find a container by its name or ID; raises NotFoundError."""
        return self._container(self._folders.find(name))

    def list(self) -> list[EmbeddedContainer]:
        """Every container, oldest first."""
        return [self._container(path) for path in self._folders.all()]

    def _container(self, path: Path) -> EmbeddedContainer:
        return EmbeddedContainer(self._folders, path, self._decide)

    def _decide(self, spec: ContainerSpec, root: Path | None) -> stage.Launch:
        # A layer twice would be two lower folders of one overlay, which the kernel refuses; the upper one decides.
        distinct = list(dict.fromkeys(reversed(spec.layers)))[::-1]
        machine = Machine.here()
        refuse_without_ids(spec, machine.ids)
        folders = self._unpacked.folders(distinct)
        trees = self._unpacked.owned(distinct, machine.ids) if machine.ids and several(spec) else folders
        return launch(spec, Stack(folders=folders, trees=trees, root=root), machine)
