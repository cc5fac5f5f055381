"""What a model file would import and call if it were unpickled, found without unpickling it, and whether it may.

Lists of what is bad always lose, so this one is of what is good (allowed_imports.toml); a project adds its own names
with `[model] allow-imports`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.pickle_files import NUMPY, inflated, is_compressed, numpy_objects, zip_members
from tiffin.models.pickle_machine import WRAPPER, Machine, Use
from tiffin.models.pickle_opcodes import BrokenPickleError, Budget, Source
from tiffin.models.torch_payloads import payloads
from tiffin.models.zips import BROKEN, ZIP

PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".sav", ".p", ".dill"})
TORCH = frozenset({".pt", ".pth", ".ckpt"})
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PICKLES = 5
_DEEPEST_ZIP = 3
_INFLATES = 200
_OTHERS = {**dict.fromkeys(TORCH, "torch"), ".npz": "zip", ".npy": "numpy"}
_LOADED = {"sklearn-pickle": "pickle", "sklearn-joblib": "joblib"}
"""Formats whose loader is known -> how it reads."""


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
        return [one for one in self.found if not (one.use.named and allowed.allows(*one.use.split, self.kind))]


def scan_file(path: Path, format_: str = "") -> Scan | None:
    """Say what a model file would do when it is loaded; None for one that holds no pickle.

    `format_` says how it will be loaded: `sklearn-pickle` and `sklearn-joblib` are read as their loaders do, everything
    else by its first bytes, and what has joblib's wrapper without joblib's name as `pickle` would read it too.
    """
    with path.open("rb") as stream:
        head = stream.read(8)
        kind, certain = _kind(path, head, format_)
        scan, calls = _scanned(stream, kind, path)
        if not certain and _by_chance(scan, calls, head):
            return None
        if (
            kind == "joblib"
            and not (format_.startswith("sklearn") or path.suffix.lower() == ".joblib")
            and any(one.use.what == WRAPPER for one in scan.found)
        ):
            plain, _ = _scanned(stream, "pickle", path)
            more = (one for one in plain.found if one not in scan.found)
            return msgspec.structs.replace(scan, found=(*scan.found, *more))
    return scan


def _scanned(stream: BinaryIO, kind: str, path: Path) -> tuple[Scan, int]:
    """Scan a file from its begin; returns how much it calls as well."""
    size = stream.seek(0, 2)
    stream.seek(0)
    scanner = _Scanner(kind, Budget(bytes=(1 << 30) + _INFLATES * size))
    return scanner.scan(stream, str(path)), scanner.calls


def _by_chance(scan: Scan, calls: int, head: bytes) -> bool:
    """Say whether a file that only begins like a pickle is none: it does nothing before it cannot be followed."""
    return bool(scan.broken) and not calls and not (scan.found and _is_marked(head))


def _is_marked(head: bytes) -> bool:
    """Say whether bytes begin with the mark that pickles have since protocol 2."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5  # noqa: PLR2004 - protocols with a mark


def _kind(path: Path, head: bytes, format_: str) -> tuple[str, bool]:
    """Say how a file is read, and whether that is certain: a pickle of protocol 0 begins like any text."""
    if format_ in _LOADED:
        return _LOADED[format_], True
    if head.startswith(ZIP):
        return "zip", True
    if head.startswith(NUMPY):
        return "numpy", True
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        return _OTHERS[suffix], True
    return "joblib", suffix in PICKLES or (suffix == ".z" and is_compressed(head))


class _Scanner:
    """Follows every pickle of one file."""

    def __init__(self, kind: str, budget: Budget) -> None:
        self._kind = kind
        self._budget = budget
        self._found: dict[tuple[str, str], Found] = {}
        self.calls = 0

    def scan(self, stream: BinaryIO, where: str) -> Scan:
        broken = ""
        try:
            self._whole(stream, where)
        except BrokenPickleError as error:
            broken = str(error)
        except BROKEN as error:
            broken = f"a member is damaged: {error}"
        return Scan(kind=self._kind, found=tuple(self._found.values()), broken=broken)

    def _whole(self, stream: BinaryIO, where: str) -> None:
        if self._kind == "zip":
            self._kind = "torch"
            self._zip(stream, "", 1)
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
                self.calls += machine.calls
                self._note(machine.uses.values(), part)
            if machine.frame_left:
                raise BrokenPickleError("it ends within a frame, and readers disagree about what comes next")
            if count == 1 and machine.result == _TORCH_MAGIC:
                self._kind, most = "torch", _TORCH_PICKLES
            if count == most:
                return  # torch's storages follow: plain numbers
        if not count:
            raise BrokenPickleError("it is empty")

    def _note(self, uses: Iterable[Use], part: str) -> None:
        for use in uses:
            self._found.setdefault((part, use.what), Found(use=use, part=part))

    def _zip(self, stream: BinaryIO, part: str, depth: int) -> None:
        """Follow the pickles of torch's zip and of numpy's, under whatever name; numbers and texts are not read."""
        members = dict(zip_members(stream))
        if any(PurePosixPath(name).name == "constants.pkl" for name in members):
            self._kind = "torchscript"
        pickled = payloads(members)
        for name, opened in members.items():
            with opened() as member:
                self._member(member, f"{part}{name}", depth, certain=name in pickled)

    def _member(self, member: BinaryIO, part: str, depth: int, *, certain: bool) -> None:
        """Follow a member: by its name or its archive's index, else by its first bytes, which may be so by chance."""
        head = member.read(8)
        member.seek(0)
        named = certain or PurePosixPath(part).suffix.lower() in PICKLES | TORCH
        if head.startswith(ZIP):
            if depth == _DEEPEST_ZIP:
                raise BrokenPickleError(f"{part} is a zip within zips")
            self._zip(member, f"{part}!", depth + 1)
        elif head.startswith(NUMPY):
            if objects := numpy_objects(member):
                self._pickles(Source(objects, self._budget), part)
        elif named or _is_marked(head):
            with nullcontext() if named else suppress(BrokenPickleError):
                self._pickles(Source(member, self._budget), part)
