"""What a watcher of a pipeline remembers on disk, and that there is one of it.

triggers/NAME/
  watch.json    `Begun`: what the last run was begun for; written whole or not at all
  lock          held by the watcher; its process is in it
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tiffin.durable import renamed, room_in
from tiffin.errors import ConflictError, IntegrityError
from tiffin.pipeline.watching.triggers import Begun


class Remembered:
    """A folder with what is remembered of the runs that a watcher began."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "watch.json"

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Be the only watcher; raises ConflictError, which names the other one."""
        with room_in(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                pid = file.read().decode()
                raise ConflictError(
                    f"{name} is being watched already" + (f", by process {pid}" if pid else ""),
                    f"leave it to that one, or end it with `kill {pid}`" if pid else "leave it to that one",
                ) from None
            with room_in(self._folder):
                file.truncate(0)
                file.write(str(os.getpid()).encode())
                file.flush()
            yield

    def read(self) -> Begun | None:
        """What was remembered last; None where nobody ever watched."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Begun)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise IntegrityError(f"{self._path} cannot be read: {error}", f"delete it: `rm {self._path}`") from error

    def write(self, begun: Begun) -> None:
        """Remember this and nothing else."""
        with renamed(self._path) as file:
            file.write(msgspec.json.encode(begun))
