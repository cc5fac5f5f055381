"""What a model file would import and call if it were unpickled, found without unpickling it, and whether it may.

Lists of what is bad always lose, so this one is of what is good (allowed_imports.toml); a project adds its own names
with `[model] allow-imports`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from tiffin.errors import DeniedError, IntegrityError
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.pickle_files import NUMPY, ZIP, inflated, is_compressed, numpy_objects, zip_members
from tiffin.models.pickle_machine import Machine, Use
from tiffin.models.pickle_opcodes import BrokenPickleError, Budget, Source

PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".sav", ".p", ".dill"})
TORCH = frozenset({".pt", ".pth", ".ckpt"})
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PICKLES = 5
_DEEPEST_ZIP = 3
_INFLATES = 200
_SHOWN = 5


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a pickle does, and the part of the file it does it in: a member of an archive, or empty."""

    use: Use
    part: str = ""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        member = f" of {self.part}" if self.part else ""
        return f"{self.use.opcode} at byte {self.use.offset}{member}"


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What a file would do; `broken` says why it could not be followed to its end, and is empty where it could."""

    kind: str
    found: tuple[Found, ...] = ()
    broken: str = ""

    def refused(self, allowed: AllowedImports) -> list[Found]:
        """Everything that the list does not allow, in the order of the file."""
        return [one for one in self.found if not (one.use.named and allowed.allows(*_split(one.use.what), self.kind))]


def approve(path: Path, format_: str, allowed: AllowedImports) -> None:
    """Raise DeniedError, naming each import, for a model file that would import what is not allowed.

    Raises IntegrityError for a pickle that cannot be followed to its end.
    """
    scan = scan_file(path, format_)
    if scan is None:
        return
    if refused := scan.refused(allowed):
        raise DeniedError(
            f"{path} would run code when it is loaded: " + _listed(f"{one.use.what} ({one.place})" for one in refused),
            _hint([one.use.what for one in refused if one.use.named]),
        )
    if scan.broken:
        raise IntegrityError(f"{path} cannot be followed as a pickle: {scan.broken}", "save the model again")


def scan_file(path: Path, format_: str = "") -> Scan | None:
    """Say what a model file would do when it is loaded; None for one that holds no pickle.

    `format_` says how it will be loaded: `sklearn-pickle` and `sklearn-joblib` are read as their loaders do, everything
    else by its first bytes.
    """
    with path.open("rb") as stream:
        head = stream.read(8)
        stream.seek(0)
        kind = _kind(path, head, format_)
        if not kind:
            return None
        scan = _Scanner(kind, Budget(bytes=(1 << 30) + _INFLATES * path.stat().st_size)).scan(stream, str(path))
    if path.suffix.lower() not in PICKLES | TORCH and scan.broken and not format_.startswith("sklearn"):
        return None  # it begins like a pickle by chance
    return scan


def _kind(path: Path, head: bytes, format_: str) -> str:
    if format_ == "sklearn-pickle":
        return "pickle"
    if format_ == "sklearn-joblib":
        return "joblib"
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(NUMPY):
        return "numpy"
    suffix = path.suffix.lower()
    if suffix in TORCH:
        return "torch"
    begins = len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5  # noqa: PLR2004 - protocols with a mark
    return "joblib" if begins or suffix in PICKLES or (suffix == ".z" and is_compressed(head)) else ""


class _Scanner:
    """Follows every pickle of one file."""

    def __init__(self, kind: str, budget: Budget) -> None:
        self._kind = kind
        self._budget = budget
        self._found: dict[tuple[str, str], Found] = {}

    def scan(self, stream: BinaryIO, where: str) -> Scan:
        broken = ""
        try:
            self._whole(stream, where)
        except BrokenPickleError as error:
            broken = str(error)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            broken = f"a member is damaged: {error}"
        return Scan(kind=self._kind, found=tuple(self._found.values()), broken=broken)

    def _whole(self, stream: BinaryIO, where: str) -> None:
        if self._kind == "zip":
            self._kind = "torch"
            self._zip(stream, stream.seek(0, 2), "", 1)
        elif self._kind == "numpy":
            if objects := numpy_objects(stream):
                self._pickles(Source(objects, self._budget), "")
        elif self._kind == "joblib":
            self._pickles(Source(inflated(stream, where), self._budget), "")
        else:
            self._pickles(Source(stream, self._budget), "")

    def _pickles(self, source: Source, part: str) -> None:
        """Follow one pickle after the other to the end, since whoever opens the file may load them all."""
        count = most = 0
        while first := source.more():
            count += 1
            machine = Machine(
                source, joblib=self._kind == "joblib", persistent=self._kind in ("torch", "torchscript"), first=first
            )
            try:
                machine.run()
            finally:
                self._note(machine.uses.values(), part)
            if count == 1 and machine.result == _TORCH_MAGIC:
                self._kind, most = "torch", _TORCH_PICKLES
            if count == most:
                return  # torch's storages follow: plain numbers
        if not count:
            raise BrokenPickleError("it is empty")

    def _note(self, uses: Iterable[Use], part: str) -> None:
        for use in uses:
            self._found.setdefault((part, use.what), Found(use=use, part=part))

    def _zip(self, stream: BinaryIO, size: int, part: str, depth: int) -> None:
        """Follow the pickles of torch's zip and of numpy's; the rest of an archive is not read."""
        members = list(zip_members(stream, size))
        if any(PurePosixPath(name).name == "constants.pkl" for name, _ in members):
            self._kind = "torchscript"
        for name, opened in members:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in PICKLES | TORCH | {".npy"}:
                with opened() as member:
                    self._member(member, f"{part}{name}", suffix, depth)

    def _member(self, member: BinaryIO, part: str, suffix: str, depth: int) -> None:
        head = member.read(8)
        member.seek(0)
        if head.startswith(ZIP):
            if depth == _DEEPEST_ZIP:
                raise BrokenPickleError(f"{part} is a zip within zips")
            self._zip(member, member.seek(0, 2), f"{part}!", depth + 1)
        elif suffix == ".npy":
            if objects := numpy_objects(member):
                self._pickles(Source(objects, self._budget), part)
        else:
            self._pickles(Source(member, self._budget), part)


def _split(what: str) -> tuple[str, str]:
    module, _, name = what.partition(":")
    return module, name


def _listed(items: Iterator[str]) -> str:
    shown = list(items)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _hint(names: list[str]) -> str:
    if not names:
        return "no framework writes such a file: do not load it; save the model again where it was trained"
    listed = ", ".join(f'"{name}"' for name in names)
    told = f"load it only if you know who made it; names of your own go under [model]: allow-imports = [{listed}]"
    if any(name.startswith("cloudpickle.") for name in names):
        return f'cloudpickle put code into it: keep that in a file, for MLflow by `python_model="file.py"`; or {told}'
    return told
