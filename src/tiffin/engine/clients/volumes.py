"""Volumes of docker and podman: made with a label, moved as tars.

podman exports and imports a volume by itself. docker copies to and from containers only, so a container of an empty
image, never started, stands beside the volume while it is moved.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec

from tiffin.engine.clients.argv import REPOSITORY
from tiffin.engine.clients.dialect import DOCKER
from tiffin.engine.clients.program import Program
from tiffin.engine.refused import absent_volume, used_volume
from tiffin.engine.spec import ContainerSpec, named_volumes
from tiffin.errors import ConflictError, TiffinError

LABEL = "dev.tiffin.volume"
"""The label of volumes that tiffin made."""
EMPTY = f"{REPOSITORY}:empty"
"""What the image of nothing is called."""
_PLACE = "volume"
_ABSENT = re.compile(r"no such volume|no volume with name", re.IGNORECASE)
_USED = re.compile(r"volume is in use|is being used by", re.IGNORECASE)


def create(name: str) -> list[str]:
    """Make a volume."""
    return ["volume", "create", "--label", f"{LABEL}=", name]


def inspect(name: str) -> list[str]:
    """Print the labels of a volume as JSON."""
    return ["volume", "inspect", "--format", "{{json .Labels}}", name]


def listing() -> list[str]:
    """Print the names of tiffin's volumes."""
    return ["volume", "ls", "--quiet", "--filter", f"label={LABEL}"]


def users(name: str) -> list[str]:
    """Print the names of the containers that have a volume."""
    return ["ps", "--all", "--filter", f"volume={name}", "--format", "{{.Names}}"]


def remove(name: str) -> list[str]:
    """Delete a volume."""
    return ["volume", "rm", name]


def beside(name: str) -> list[str]:
    """Make a container, never to be started, that has a volume and nothing else."""
    return ["create", "--network", "none", "--mount", f"type=volume,source={name},target=/{_PLACE}", EMPTY, "none"]


class ClientVolumes:
    """The volumes of one of these programs."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def names(self) -> list[str]:
        """The volumes that tiffin made, sorted."""
        return sorted(self._program.ask(listing()).decode().split())

    def make(self, spec: ContainerSpec) -> list[str]:
        """Make the volumes of a container that are not there yet; returns these."""
        new = [name for name in named_volumes(spec) if not self._is_there(name)]
        for name in new:
            self._program.ask(create(name))
        return new

    def give(self, name: str, owner: tuple[int, int]) -> None:
        """Let the folder itself belong to somebody; podman does so when a container first starts."""
        if self._program.dialect is not DOCKER:
            return
        folder = tarfile.TarInfo(_PLACE)
        folder.type, folder.mode, (folder.uid, folder.gid) = tarfile.DIRTYPE, 0o755, owner
        with self._beside(name) as identity:
            self._program.feed(["cp", "--archive", "-", f"{identity}:/"], lambda out: _write(out, folder))

    def export(self, name: str, out: BinaryIO) -> None:
        """Write what is in a volume as a tar."""
        if not self._is_there(name):
            raise absent_volume(name)
        if self._program.dialect is not DOCKER:
            self._pour(["volume", "export", name], out)
            return
        with self._beside(name) as identity:
            self._pour(["cp", f"{identity}:/{_PLACE}/.", "-"], out)

    def replace(self, name: str, source: BinaryIO, owner: tuple[int, int]) -> None:
        """Make a volume anew of what a tar has."""
        if self._is_there(name):
            self.remove(name)
        self._program.ask(create(name))
        if self._program.dialect is not DOCKER:
            self._program.feed(["volume", "import", name, "-"], lambda out: shutil.copyfileobj(source, out))
            return
        self.give(name, owner)
        with self._beside(name) as identity:
            command = ["cp", "--archive", "-", f"{identity}:/{_PLACE}"]
            self._program.feed(command, lambda out: shutil.copyfileobj(source, out))

    def remove(self, name: str) -> None:
        """Delete a volume of tiffin's; raises ConflictError while a container has it."""
        labels = self._labels(name)
        if labels is None:
            raise absent_volume(name)
        if LABEL not in labels:
            raise ConflictError(
                f"the volume {name!r} is not tiffin's", f"`{self._program.dialect.name} volume rm {name}`"
            )
        done = self._program.attempt(remove(name))
        if done.status:
            raise self._refusal(name, done.status, done.said)

    def _refusal(self, name: str, status: int, said: str) -> TiffinError:
        if _USED.search(said):
            return used_volume(name, (self._program.ask(users(name)).decode().split() or ["another"])[0])
        return self._program.refusal(remove(name), status, said)

    def _is_there(self, name: str) -> bool:
        return self._labels(name) is not None

    def _labels(self, name: str) -> dict[str, str] | None:
        """The labels of a volume, or None where it is absent, as one is whose name would be an option."""
        if name.startswith("-"):
            return None
        done = self._program.attempt(inspect(name))
        if not done.status:
            return msgspec.json.decode(done.out, type=dict[str, str] | None) or {}
        if not _ABSENT.search(done.said):
            raise self._program.refusal(inspect(name), done.status, done.said)
        return None

    def _pour(self, arguments: list[str], out: BinaryIO) -> None:
        """Run a command that writes a tar, to its good end."""
        with self._program.reading(arguments) as process:
            shutil.copyfileobj(cast("BinaryIO", process.stdout), out)
            said = cast("BinaryIO", process.stderr).read().decode(errors="replace")
            if status := process.wait():
                raise self._program.refusal(arguments, status, said)

    @contextlib.contextmanager
    def _beside(self, name: str) -> Iterator[str]:
        """Give a container of nothing that has the volume."""
        if self._program.attempt(["image", "inspect", EMPTY]).status:
            self._program.feed(["import", "-", EMPTY], _write)
        identity = self._program.ask(beside(name)).decode().split()[-1]
        try:
            yield identity
        finally:
            self._program.ask(["rm", identity])


def _write(out: BinaryIO, *entries: tarfile.TarInfo) -> None:
    """Write a tar of folders, or of nothing."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as tar:
        for entry in entries:
            tar.addfile(entry)
    out.write(paper.getvalue())
