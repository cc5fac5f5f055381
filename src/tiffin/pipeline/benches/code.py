"""The code of a pipeline as it was when a run began: copied once for its content, so that an edit changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tiffin.build.recipes import SourceFile
from tiffin.durable import room_in, sync_directory
from tiffin.errors import ConflictError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import encode

SECONDS_1980 = 315_532_800
"""When every file was written, as far as steps can see: a clock would be something that no key knows of."""
KEPT_SECONDS = 30 * 24 * 3600
"""For how long code stays that nothing was run with."""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """Code: what it is known by, the folder where it lies and never changes, and its files there."""

    digest: Digest
    path: Path
    files: tuple[SourceFile, ...] = ()

    def python(self) -> dict[str, bytes]:
        """Its modules, by path."""
        return {file.path: (self.path / file.path).read_bytes() for file in self.files if file.path.endswith(".py")}

    def lying(self) -> dict[str, Path]:
        """All that lies in its folder, bytecode too, by path there."""
        return {path.relative_to(self.path).as_posix(): path for path in self.path.rglob("*") if path.is_file()}


class Bytecode(msgspec.Struct, frozen=True, kw_only=True):
    """What code is for one interpreter, by path; made where it is not kept yet."""

    interpreter: Digest
    make: Callable[[], Mapping[str, bytes]]


class _Changed(Exception):  # noqa: N818 - it is no error yet: the caller looks again
    """A file is not what it was when its digest was made."""


def code_digest(files: Sequence[SourceFile]) -> Digest:
    """What code is known by: names, bytes, and which files can be run; no times, no owners."""
    return Digest.of(encode(sorted([file.path, file.digest, file.executable] for file in files)))


def keep_code(
    files: Sequence[SourceFile], sources: Mapping[str, Path], above: Path, bytecode: Bytecode | None = None
) -> Code:
    """Have these files, and their bytecode, lie in a folder of `above` that is theirs alone, whole or not at all.

    Raises ConflictError where one of them is not what it was when it was described.
    """
    digest = code_digest(files)
    if bytecode:
        digest = Digest.of(encode([digest, bytecode.interpreter]))
    target = above / digest.hex
    if not target.is_dir():
        with room_in(above, "the code of a pipeline"):
            above.mkdir(parents=True, exist_ok=True)
            _make(target, partial(_fill, files, sources, bytecode.make() if bytecode else {}))
        _sweep(above)
    os.utime(target)
    return Code(digest=digest, path=target, files=tuple(files))


def keep_with(code: Code, path: str, data: bytes) -> Code:
    """Have code lie in a folder of its own with other bytes in one of its files; the others are the same on disk."""
    files = tuple(
        msgspec.structs.replace(file, digest=Digest.of(data), size=len(data)) if file.path == path else file
        for file in code.files
    )
    changed = Code(digest=code_digest(files), path=code.path.with_name(code_digest(files).hex), files=files)
    if not changed.path.is_dir():
        with room_in(changed.path.parent, "the code of a step"):
            _make(changed.path, partial(_link, code, path, data))
    os.utime(changed.path)
    return changed


def _link(code: Code, changed: str, data: bytes, made: Path) -> None:
    for file in code.files:
        source, target = code.path / file.path, made / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.path == changed:
            _write(target, data, file)
        else:
            try:
                target.hardlink_to(source)
            except OSError:  # a file system without links, or a file that has as many as it can have
                _copy(source, target, file)


def _write(target: Path, data: bytes, file: SourceFile) -> None:
    with target.open("xb") as writing:
        writing.write(data)
        writing.flush()
        os.fchmod(writing.fileno(), 0o755 if file.executable else 0o644)
        os.fsync(writing.fileno())
    os.utime(target, (SECONDS_1980, SECONDS_1980))


def _make(target: Path, fill: Callable[[Path], None]) -> None:
    """Have a folder that is there whole, or not at all."""
    made = target.with_name(f".{target.name[:12]}-{secrets.token_hex(4)}.new")
    made.mkdir(mode=0o755)
    try:
        fill(made)
        for folder, _, _ in os.walk(made):
            Path(folder).chmod(0o755)
            sync_directory(Path(folder))
        made.rename(target)
        sync_directory(target.parent)
    except _Changed as error:
        raise ConflictError(f"{error} is being written", "run it again when that has ended") from None
    except OSError:
        if not target.is_dir():  # else somebody else was faster with the same
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _fill(files: Sequence[SourceFile], sources: Mapping[str, Path], compiled: Mapping[str, bytes], made: Path) -> None:
    for file in files:
        _copy(sources[file.path], made / file.path, file)
    for path, data in compiled.items():
        (made / path).parent.mkdir(exist_ok=True)
        (made / path).write_bytes(data)  # one that a crash damages is not believed by an interpreter
        (made / path).chmod(0o644)


def _copy(source: Path, target: Path, file: SourceFile) -> None:
    """Copy one file, and see that it is the one that was described."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hashed = hashlib.sha256()
    with source.open("rb") as reading, target.open("xb") as writing:
        while data := reading.read(CHUNK):
            hashed.update(data)
            writing.write(data)
        writing.flush()
        os.fchmod(writing.fileno(), 0o755 if file.executable else 0o644)
        os.fsync(writing.fileno())
    if hashed.hexdigest() != file.digest.hex:
        raise _Changed(source)
    os.utime(target, (SECONDS_1980, SECONDS_1980))


def _sweep(above: Path) -> None:
    """Delete code that nothing was run with for long, and what was left half copied."""
    before = time.time() - KEPT_SECONDS
    for path in above.iterdir():
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            if path.stat().st_mtime < before:
                gone = path.with_name(f".{path.name[:12]}-{secrets.token_hex(4)}.gone")
                path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
