"""What has been made before: a recipe's key leads to the layer it gave, so that nothing is made twice."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tiffin.durable import renamed, sweep
from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode, encode

T = TypeVar("T")


class Records:
    """A folder of small JSON files, one a key; losing it costs time and nothing else."""

    def __init__(self, root: Path) -> None:
        """Keep records under `root`."""
        self._root = root
        self._temporary = root / "tmp"

    def get(self, key: Digest, kind: type[T]) -> T | None:
        """Return what was recorded under the key, or None; a damaged record counts as absent."""
        path = self._root / key.hex
        try:
            return decode(kind, path.read_bytes(), str(path))
        except (FileNotFoundError, IntegrityError):
            return None

    def put(self, key: Digest, value: object) -> None:
        """Record a value under the key."""
        with renamed(self._root / key.hex, by_way_of=self._temporary) as file:
            file.write(encode(value))

    def all(self, kind: type[T]) -> dict[Digest, T]:
        """Return everything that is recorded, but what is damaged."""
        keys = [Digest("sha256", path.name) for path in self._root.glob("?" * 64)]
        return {key: value for key in keys if (value := self.get(key, kind)) is not None}

    def forget(self, key: Digest) -> None:
        """Record nothing under the key any more."""
        (self._root / key.hex).unlink(missing_ok=True)

    def path(self, key: Digest) -> Path:
        """Where it is recorded, or would be."""
        return self._root / key.hex

    def adopt(self, folder: Path) -> None:
        """Take over what was recorded in another folder, but for what is known here."""
        for path in folder.glob("?" * 64):
            if not (self._root / path.name).exists():
                with renamed(self._root / path.name, by_way_of=self._temporary) as file:
                    file.write(path.read_bytes())

    def use(self, key: Digest) -> None:
        """Note that somebody relies on what is recorded under the key, now."""
        with suppress(OSError):  # it is gone, or somebody else's, who alone may forget it
            os.utime(self._root / key.hex)

    def used(self) -> dict[Digest, float]:
        """Every key, and when somebody last relied on it, in seconds since 1970."""
        found = {}
        for path in self._root.glob("?" * 64):
            with suppress(FileNotFoundError):
                found[Digest("sha256", path.name)] = path.stat().st_mtime
        return found

    def drop(self, key: Digest, used: float) -> bool:
        """Forget a key unless somebody has come to rely on it since that time; says whether it is forgotten."""
        path, gone = self._root / key.hex, self._temporary / f"gone-{os.urandom(8).hex()}"
        self._temporary.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # somebody else forgot it
            path.rename(gone)
            if gone.stat().st_mtime > used:
                with suppress(FileExistsError):  # somebody recorded something newer meanwhile
                    path.hardlink_to(gone)
                gone.unlink()
                return False
            gone.unlink()
        return True

    def sweep(self) -> int:
        """Delete what processes that died left half-written; returns how many files."""
        return sweep(self._temporary)
