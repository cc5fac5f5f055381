"""Volumes of the embedded engine: `volumes/<name>/`, folders of the container's user, each whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from tiffin.durable import lock, room_in
from tiffin.engine.embedded import volume_files
from tiffin.engine.embedded.boot import python
from tiffin.engine.refused import absent_volume
from tiffin.errors import CommandError, DeniedError, IntegrityError, TiffinError, UnsupportedError

_KINDS = (CommandError, DeniedError, IntegrityError, UnsupportedError)
_ERRORS: dict[str, type[TiffinError]] = {kind.code: kind for kind in _KINDS}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Volumes:
    """Every volume of a data folder; whoever makes or replaces one holds the lock of all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def place(self, name: str) -> Path:
        """Where a volume lies, or would."""
        return self._path / name

    def names(self) -> list[str]:
        """Every volume, sorted."""
        return sorted(path.name for path in self._path.glob("[!.]*"))

    def make(self, name: str, owner: tuple[int, int] | None, content: BinaryIO | None = None) -> None:
        """Make a volume of what a tar has; one that is there is left as it is."""
        with self._locked():
            if not self.place(name).is_dir():
                with self._new(owner, content) as new:
                    new.rename(self.place(name))

    def give(self, name: str, owner: tuple[int, int] | None) -> None:
        """Let what is its owner's be another's, of a container with more users or fewer; no container has it now."""
        with self._locked():
            if owner is None or (was := self._whose(name, owner)) == owner:
                return
            for folder, folders, files in os.walk(self.place(name), topdown=False):
                for entry in (*folders, *files, "."):
                    path = Path(folder, entry)
                    if was and path.lstat().st_uid == was[0]:
                        os.chown(path, *owner, follow_symlinks=False)

    def replace(self, name: str, owner: tuple[int, int] | None, content: BinaryIO) -> None:
        """Let a volume have what a tar has, and nothing else: all of it or, where that fails, what it had.

        It stays whose it is; the `owner` gets one that is new.
        """
        with self._locked(), self._new(self._whose(name, owner), content) as new:
            gone = self._path / f".gone-{os.urandom(8).hex()}"
            with contextlib.suppress(FileNotFoundError):
                self.place(name).rename(gone)
            new.rename(self.place(name))
        shutil.rmtree(gone, ignore_errors=True)

    def export(self, name: str, out: BinaryIO, become: int | None, owner: tuple[int, int]) -> None:
        """Write what is in a volume as a tar whose files are the `owner`'s."""
        reader = self._whose(name, None if become is None else (become, become))
        with _opened(self._there(name)) as folder:
            _run({"folder": folder, "become": reader and reader[0], "owner": owner, "inward": False}, None, out)

    def remove(self, name: str) -> None:
        """Delete a volume, at once as others see it."""
        with self._locked():
            gone = self._path / f".gone-{os.urandom(8).hex()}"
            self._there(name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _whose(self, name: str, owner: tuple[int, int] | None) -> tuple[int, int] | None:
        """Whose a volume is: the user's of the container it was made for; the `owner`'s where there is none yet."""
        if owner is None or not self.place(name).is_dir():
            return owner
        found = self.place(name).stat()
        return found.st_uid, found.st_gid

    def _there(self, name: str) -> Path:
        if name not in self.names():
            raise absent_volume(name)
        return self.place(name)

    @contextlib.contextmanager
    def _new(self, owner: tuple[int, int] | None, content: BinaryIO | None) -> Iterator[Path]:
        """Make a folder with this content beside the volumes; it is gone at the end unless it was renamed."""
        new = self._path / f".new-{os.urandom(8).hex()}"
        with room_in(self._path):
            new.mkdir(mode=0o755)
        try:
            new.chmod(0o755)
            if owner is not None:
                os.chown(new, *owner)
            if content:
                with _opened(new) as folder:
                    _run(
                        {"folder": folder, "become": owner and owner[0], "owner": (0, 0), "inward": True}, content, None
                    )
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one who makes volumes; what others left half made is deleted."""
        with lock(self._path / ".lock"):
            for left in (*self._path.glob(".new-*"), *self._path.glob(".gone-*")):
                shutil.rmtree(left, ignore_errors=True)
            yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    folder = os.open(path, _FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)


def _run(plan: volume_files.Plan, source: BinaryIO | None, out: BinaryIO | None) -> None:
    """Let a process of the container's user do it, between our streams and the folder; raises what it refuses."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*python("volume_files"), json.dumps(plan)],
            stdin=subprocess.PIPE if source else subprocess.DEVNULL,
            stdout=subprocess.PIPE if out else subprocess.DEVNULL,
            stderr=words,
            cwd="/",
            env={},
            pass_fds=(plan["folder"],),
        )
        with process:
            try:
                _carry(process, source, out)
            except BrokenPipeError:
                pass  # its words say why it read no more
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise _said(words)


def _carry(process: subprocess.Popen[bytes], source: BinaryIO | None, out: BinaryIO | None) -> None:
    if source and process.stdin:
        shutil.copyfileobj(source, process.stdin)
        process.stdin.close()
    if out and process.stdout:
        shutil.copyfileobj(process.stdout, out)


def _said(words: IO[bytes]) -> TiffinError:
    """Why the other process gave up."""
    words.seek(0)
    text = words.read()
    try:
        kind, message, hint = json.loads(text)
    except ValueError:
        return CommandError(f"the volume: {(text.decode(errors='replace').strip().splitlines() or ['killed'])[-1]}")
    return _ERRORS.get(kind, CommandError)(message, hint or None)
