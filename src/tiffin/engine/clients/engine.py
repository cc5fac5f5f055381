"""docker and podman as engines: images go in as an archive, containers are known again by a label."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.engine.cdi_files import cdi_folders
from tiffin.engine.clients import argv, refusals, secrets, seen
from tiffin.engine.clients.container import ClientContainer
from tiffin.engine.clients.devices import by_name, knows_cdi, one_by_one, spread
from tiffin.engine.clients.dialect import Dialect
from tiffin.engine.clients.program import Program
from tiffin.engine.clients.seeing import obstacles
from tiffin.engine.clients.variables import hidden
from tiffin.engine.clients.volumes import ClientVolumes
from tiffin.engine.data import refuse
from tiffin.engine.devices import find_devices
from tiffin.engine.spec import ContainerSpec, Obstacle, State
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.progress import step

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Save = Callable[[Store, Mapping[str, Image], BinaryIO], None]
"""Writes images by name as one tar that the program loads, to a stream that is never sought in."""


class ClientEngine:
    """Runs containers with docker or podman; what is there is the program's to know, whoever asks."""

    def __init__(
        self,
        dialect: Dialect,
        save: Save,
        command: Sequence[str] = (),
        environment: Mapping[str, str] = os.environ,
        *,
        copies: Path,
    ) -> None:
        """`copies` is the folder for copies of secrets, where a program has none of its own."""
        self._save, self._copies = save, copies
        self._program = Program(dialect, command, environment)
        self._volumes = ClientVolumes(self._program)

    @property
    def name(self) -> str:
        """What the program is called."""
        return self._program.dialect.name

    def load(self, store: Store, image: Image) -> None:
        """Take an image in; one that is there, under whatever name, is not moved."""
        name = argv.image_name(image.descriptor.digest)
        diff_ids = tuple(image.config.rootfs.diff_ids)
        if self._layers(name) == diff_ids:
            return
        identity = str(image.manifest.config.digest)
        if self._layers(identity) == diff_ids:
            self._program.ask(argv.tag(identity, name))
            return
        with step("load", name):
            self._program.feed(argv.load(), lambda out: self._save(store, {name: image}, out))

    def create(self, spec: ContainerSpec) -> ClientContainer:
        """Make a container of a loaded image."""
        there = self._layers(argv.image_name(spec.digest))
        if there != spec.layers:
            absent = next((layer for layer in spec.layers if layer not in (there or ())), spec.layers[0])
            raise NotFoundError(f"layer {absent} of {spec.image} is not loaded", "run the image again: it loads it")
        refuse(self.obstacles(spec))
        with_devices, devices = self._devices(spec)
        with (
            secrets.handed_in(self._program, self._copies, spec) as handed,
            hidden(argv.environment(with_devices), argv.label_lines(spec)) as (options, extra),
        ):
            command = argv.create(self._program.dialect, with_devices, options, handed, devices)
            new = self._volumes.make(spec)
            done = self._program.attempt(command, extra)
            if done.status:
                raise refusals.made(spec, done.said) or self._program.refusal(command, done.status, done.said)
        made = ClientContainer(self._program, done.out.decode().split()[-1], spec, self._copies)
        if refusal := refusals.discarded(spec, self.name, done.said):
            made.remove()
            raise refusal
        for name in new:
            self._volumes.give(name, spec.user)
        return made

    def obstacles(self, spec: ContainerSpec) -> Sequence[Obstacle]:
        """Say what would keep it from starting (see `Foresees`); what is on another machine is not looked at."""
        return obstacles(self._program, spec)

    def _devices(self, spec: ContainerSpec) -> tuple[ContainerSpec, list[str]]:
        """The spec and the options that bring its devices: by name where the program knows CDI, else one by one."""
        if not spec.devices or knows_cdi(self._program, cdi_folders()):
            return spec, by_name(spec.devices)
        devices = find_devices(spec.devices)
        return spread(spec, devices), one_by_one(devices)

    def find(self, name: str) -> ClientContainer:
        """Find a container by its name or ID; raises NotFoundError, also for one that tiffin did not make."""
        found = self._seen([name]) if _NAME.fullmatch(name) else []
        for container in found:
            if container.is_called(name) and container.is_ours:
                return self._container(container)
            if container.is_called(name):
                raise NotFoundError(
                    f"{name!r} is not tiffin's: {self._program.dialect.name} runs it for somebody else",
                    f"`{self._program.dialect.name} inspect {name}` shows it",
                )
        raise self._program.absent(name)

    def list(self) -> list[ClientContainer]:
        """Every container that tiffin made, oldest first."""
        return [self._container(container) for container in self._all()]

    def refuse(self, spec: ContainerSpec) -> None:
        """Refuse what cannot be said to the program."""
        argv.create(self._program.dialect, spec)

    def volumes(self) -> Sequence[str]:
        """The volumes that tiffin made by name (see `HasVolumes`)."""
        return self._volumes.names()

    def export_volume(self, name: str, out: BinaryIO, owner: tuple[int, int]) -> None:  # noqa: ARG002 - each has its own
        """Write what is in a volume; every file keeps its owner."""
        self._volumes.export(name, out)

    def import_volume(self, name: str, source: BinaryIO, owner: tuple[int, int]) -> None:
        """Replace a volume; raises ConflictError while a container has it, whether that runs or not."""
        self._volumes.replace(name, source, owner)

    def remove_volume(self, name: str) -> None:
        """Delete a volume that no container has."""
        self._volumes.remove(name)

    def survey(self) -> Sequence[tuple[ClientContainer, State]]:
        """Every container and what it is doing, for two calls of the program."""
        found = [(self._container(container), container) for container in self._all()]
        return [(container, there.as_state(container.spec, self.name)) for container, there in found]

    def _all(self) -> Sequence[seen.Seen]:
        names = self._program.ask(argv.listing()).decode().split()
        found = self._seen(names) if names else []
        return sorted(found, key=lambda container: seen.utc(container.created))

    def _seen(self, names: Sequence[str]) -> Sequence[seen.Seen]:
        """Look at containers; one that has gone meanwhile is left out."""
        command = argv.inspect(names)
        done = self._program.attempt(command)
        found = seen.read(done.out.strip())
        if done.status and not found and not re.search("no such|no container", done.said, re.IGNORECASE):
            raise self._program.refusal(command, done.status, done.said)
        return found

    def _layers(self, name: str) -> tuple[Digest, ...] | None:
        """The diff IDs of an image, or None where it is absent."""
        command = argv.inspect_image(name)
        done = self._program.attempt(command)
        if not done.status:
            return tuple(Digest.parse(text) for text in msgspec.json.decode(done.out, type=list[str]))
        if re.search("no such image|image not known|failed to find image", done.said, re.IGNORECASE):
            return None
        raise self._program.refusal(command, done.status, done.said)

    def _container(self, found: seen.Seen) -> ClientContainer:
        return ClientContainer(self._program, found.id, found.spec(), self._copies)
