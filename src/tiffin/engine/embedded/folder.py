"""Containers on disk: `containers/<ID>/` with what each was made of, and `names/` that lets a name mean one ID only.

    <ID>/spec.json     what it was made of; never changes
    <ID>/run/          the keeper's, and the container user's where tiffin runs as root: state, log, control socket
    <ID>/root/         what a container that may write to its root has written: `upper`, and overlay's own `work`

A container is made under a lock that the kernel lifts when its holder dies. A name is a symbolic link; one whose folder
is gone was left by a process that died in between, and means nothing; what it left half made is removed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tiffin.durable import room_in
from tiffin.engine.embedded.argv import UPPER, WORK
from tiffin.engine.embedded.trees import discard
from tiffin.engine.refused import refused_name
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import NotFoundError
from tiffin.oci.documents import decode, encode

_ID_BYTES = 6
Owner = tuple[int, int]


class Folders:
    """Every container of a data folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = path / "names"

    def make(self, spec: ContainerSpec, owner: Owner | None, root: Owner | None = None) -> Path:
        """Make a container's folder; raises ConflictError for a name that is taken.

        Its processes are the `owner`'s, its files the `root`'s; None is whoever runs this.
        """
        with room_in(self._path.parent):
            return self._make(spec, owner, root or owner)

    def _make(self, spec: ContainerSpec, owner: Owner | None, root: Owner | None) -> Path:
        self._names.mkdir(parents=True, exist_ok=True)
        new = self._path / os.urandom(_ID_BYTES).hex()
        unnamed = new.with_name(f".new-{new.name}")
        with self._locked():
            self._sweep()
            self._claim(spec.name, new.name)
            (unnamed / "run").mkdir(mode=0o700, parents=True)
            (unnamed / "spec.json").write_bytes(encode(spec))
            _give(unnamed / "run", owner)
            if not spec.read_only:
                _make_upper(unnamed / "root", root)
            unnamed.rename(new)
        return new

    def find(self, name: str) -> Path:
        """Find a container's folder by name or ID; raises NotFoundError."""
        for path in (self._names / name, self._path / name):
            if "/" not in name and (path / "spec.json").is_file():
                return path.resolve()
        raise NotFoundError(f"no container is called {name!r}", "`tiffin ps -a` lists them")

    def all(self) -> list[Path]:
        """Every container's folder, oldest first."""
        found = [path for path in self._path.glob("[!.]*") if (path / "spec.json").is_file()]
        return sorted(found, key=lambda path: (path / "spec.json").stat().st_mtime_ns)

    def remove(self, path: Path) -> None:
        """Forget a container, at once as others see it."""
        gone = path.with_name(f".gone-{path.name}")
        with self._locked(), contextlib.suppress(FileNotFoundError):
            link = self._names / read_spec(path).name
            if os.readlink(link) == f"../{path.name}":  # noqa: PTH115 - the link's text
                link.unlink()
            path.rename(gone)
        discard(gone)

    def _sweep(self) -> None:
        """Delete what processes that died left: the lock is ours, so nobody makes one, and two may remove the same."""
        for left in self._path.glob(".*"):
            discard(left)

    def _claim(self, name: str, identity: str) -> None:
        link = self._names / name
        if link.exists():
            raise refused_name(name)
        link.unlink(missing_ok=True)
        link.symlink_to(f"../{identity}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._names, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _make_upper(path: Path, owner: Owner | None) -> None:
    """Make what overlay writes to, where no other user of the machine finds what a container made setuid."""
    path.mkdir(mode=0o700)
    for name in (UPPER, WORK):
        (path / name).mkdir()
        (path / name).chmod(0o755)
        _give(path / name, owner)
    _give(path, owner)


def _give(path: Path, owner: Owner | None) -> None:
    if owner is not None:
        os.chown(path, *owner)


def read_spec(path: Path) -> ContainerSpec:
    """Read what a container was made of."""
    return decode(ContainerSpec, (path / "spec.json").read_bytes(), str(path / "spec.json"))
