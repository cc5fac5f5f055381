"""Containers on disk: `containers/<ID>/` with what each was made of, and `names/` that lets a name mean one ID only.

    <ID>/spec.json     what it was made of; never changes
    <ID>/run/          the keeper's, and the container user's where tiffin runs as root: state, log, control socket
    <ID>/root/         what a container that may write to its root has written: `upper`, and overlay's own `work`

A container is made under a lock that the kernel lifts when its holder dies. A name is a symbolic link; one whose folder
is gone was left by a process that died in between, and means nothing; what it left half made is removed by the next.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from tiffin.durable import room_in
from tiffin.engine.embedded.forget import forget
from tiffin.engine.embedded.made import NAMES, SPEC, Taken, make, new_id
from tiffin.engine.embedded.trees import discard
from tiffin.engine.refused import refused_name
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import NotFoundError
from tiffin.oci.documents import decode, encode

Owner = tuple[int, int]


class Folders:
    """Every container of a data folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = path / NAMES

    def make(self, spec: ContainerSpec, owner: Owner | None, root: Owner | None = None) -> Path:
        """Make a container's folder; raises ConflictError for a name that is taken.

        Its processes are the `owner`'s, its files the `root`'s; None is whoever runs this.
        """
        identity = new_id()
        with room_in(self._path.parent):
            try:
                make(
                    str(self._path),
                    identity,
                    spec.name,
                    encode(spec),
                    owner=owner,
                    root=root or owner,
                    writable=not spec.read_only,
                    sweep=self._sweep,
                )
            except Taken:
                raise refused_name(spec.name) from None
        return self._path / identity

    def find(self, name: str) -> Path:
        """Find a container's folder by name or ID; raises NotFoundError."""
        for path in (self._names / name, self._path / name):
            if "/" not in name and (path / SPEC).is_file():
                return path.resolve()
        raise absent(name)

    def all(self) -> list[Path]:
        """Every container's folder, oldest first."""
        found = []
        for path in self._path.glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # no container, or not any more
                found.append(((path / SPEC).stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def remove(self, path: Path) -> None:
        """Forget a container, at once as others see it."""
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            forget(str(path), read_spec(path).name)
        discard(path.with_name(f".gone-{path.name}"))  # what other users of the container own

    def _sweep(self) -> None:
        """Delete what processes that died left: the lock is ours, so nobody makes one, and two may remove the same."""
        for left in self._path.glob(".*"):
            discard(left)


def absent(name: str) -> NotFoundError:
    """No container has this name, or none has it any more."""
    return NotFoundError(f"no container is called {name!r}", "`tiffin ps -a` lists them")


def read_spec(path: Path) -> ContainerSpec:
    """Read what a container was made of."""
    return decode(ContainerSpec, (path / SPEC).read_bytes(), str(path / SPEC))
