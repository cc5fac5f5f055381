"""What the dynamic linker would do in an image, worked out from what its layers hold. Pure.

Source: ld.so(8) and the System V ABI, "Shared Object Dependencies". A library is looked for in the RPATHs of whoever
needs it and of those that loaded that one, unless it has a RUNPATH; then in LD_LIBRARY_PATH, in its RUNPATH, and in the
system's folders. Files for other machines are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tiffin.layers.elf import AARCH64, X86_64, Elf, Wanted
from tiffin.layers.libraries import ElfFile, Libraries
from tiffin.oci.platform import Platform

_MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
_MOST_LINKS = 40
_ORIGIN = re.compile(r"\$ORIGIN\b|\$\{ORIGIN\}")
_LIB = re.compile(r"\$LIB\b|\$\{LIB\}")
_DRIVER = re.compile(r"lib(?:cuda|cudadebugger|nvcuvid|nvoptix|nvidia-[a-z0-9-]+)\.so(?:\.[0-9.]+)?")
"""Libraries of NVIDIA's driver, which whoever runs a container puts into it and which are in no image."""


class Fault(msgspec.Struct, frozen=True, order=True):
    """Why a file cannot be loaded: a library that is not there, or is there without a version of its symbols."""

    path: str
    library: str
    version: str = ""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of loading a file with all it needs."""

    faults: tuple[Fault, ...] = ()
    elsewhere: tuple[Fault, ...] = ()
    """Libraries that no search finds and some wheel has: whoever loads that one first makes them work."""
    driver: bool = False
    """Whether it needs a library of NVIDIA's driver."""


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """What one file needs, looked for: files by the name they are needed by, and what is wrong."""

    found: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    """What the search did not find and some wheel has."""
    faults: tuple[Fault, ...] = ()
    driver: bool = False
    rpath: tuple[str, ...] = ()


class Linker:
    """The dynamic linker of an image."""

    def __init__(self, layers: Sequence[Libraries], platform: Platform, search: Sequence[str] = ()) -> None:
        """Stack the layers, bottom first; `search` is the image's LD_LIBRARY_PATH."""
        self._machine = _MACHINES[platform.machine]
        multiarch = f"{platform.machine}-linux-gnu"
        self._lib = f"lib/{multiarch}"
        named = [folder for layer in layers for folder in layer.folders]
        system = ["/" + usr + folder for folder in (f"lib/{multiarch}", "lib64", "lib") for usr in ("", "usr/")]
        self._system = (*named, *system)
        self._search = tuple(search)
        self.files, self._links = _stacked(layers)
        self._folders: dict[str, str] = {}
        self._linked: dict[tuple[str, tuple[str, ...]], Linked] = {}
        self._sonames = _by_soname(self.files.values(), self._machine)

    def load(self, path: str) -> Loading:
        """Load a file with everything it needs, and what that needs."""
        linked: dict[str, Linked] = {}
        todo: list[tuple[str, tuple[str, ...]]] = [(path, ())]
        while todo:
            at, inherited = todo.pop()
            if at not in linked:
                linked[at] = self._link(at, inherited)
                needs = (*linked[at].found.values(), *linked[at].elsewhere.values())
                todo += [(found, linked[at].rpath) for found in needs]
        loaded = {path}.union(*(one.found.values() for one in linked.values()))
        return Loading(
            faults=tuple(sorted(fault for one in linked.values() for fault in one.faults)),
            elsewhere=tuple(
                Fault(at, name)
                for at, one in sorted(linked.items())
                for name, found in one.elsewhere.items()
                if found not in loaded
            ),
            driver=any(one.driver for one in linked.values()),
        )

    def find(self, name: str) -> Elf | None:
        """Find a library as the system's folders have it."""
        path = self._search_in(name, "", self._system)
        return self.files[path].elf if path else None

    def fits(self, file: ElfFile) -> bool:
        """Whether a file can be read and is for the image's machine."""
        return file.elf is not None and file.elf.machine == self._machine

    def _link(self, path: str, inherited: tuple[str, ...]) -> Linked:
        key = (path, inherited)
        if key not in self._linked:
            self._linked[key] = self._looked_up(path, inherited)
        return self._linked[key]

    def _looked_up(self, path: str, inherited: tuple[str, ...]) -> Linked:
        elf = self.files[path].elf
        if elf is None:
            return Linked(rpath=inherited)
        own = () if elf.runpath else tuple(self._expanded(elf.rpath, path))
        folders = (
            *(() if elf.runpath else (*own, *inherited)),
            *self._search,
            *self._expanded(elf.runpath, path),
            *self._system,
        )
        found = {name: at for name in elf.needed if (at := self._search_in(name, path, folders))}
        missing = [name for name in elf.needed if name not in found]
        elsewhere = {name: self._sonames[name] for name in missing if name in self._sonames}
        faults = [Fault(path, name) for name in missing if name not in elsewhere and not _DRIVER.fullmatch(name)]
        faults += self._versions(path, elf.wanted, found | elsewhere)
        return Linked(
            found=found,
            elsewhere=elsewhere,
            faults=tuple(faults),
            driver=any(_DRIVER.fullmatch(name) for name in missing if name not in elsewhere),
            rpath=(*own, *inherited),
        )

    def _versions(self, path: str, wanted: Iterable[Wanted], found: dict[str, str]) -> Iterator[Fault]:
        """The versions that a found library should have and has not; one without any version has them all."""
        for wish in wanted:
            elf = self.files[found[wish.library]].elf if wish.library in found else None
            if elf and elf.brings and wish.version not in elf.brings:
                yield Fault(path, wish.library, wish.version)

    def _expanded(self, folders: Iterable[str], path: str) -> Iterator[str]:
        origin = "/" + path.rpartition("/")[0]
        for folder in folders:
            yield _LIB.sub(lambda _: self._lib, _ORIGIN.sub(lambda _: origin, folder))

    def _search_in(self, name: str, path: str, folders: Iterable[str]) -> str:
        """Find a library by name in folders, as the path of a file for this machine; "" where none has it."""
        if "/" in name:
            folders, name = [""], next(iter(self._expanded([name], path)))
        for folder in folders:
            found = self._real(f"{folder}/{name}")
            if (file := self.files.get(found)) and self.fits(file):
                return found
        return ""

    def _real(self, path: str) -> str:
        """Follow every link on the way to a path, as the kernel does; relative to the root, without a slash."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._followed(folder)
        real = f"{self._folders[folder]}/{name}".lstrip("/")
        return self._followed(real) if real in self._links else real

    def _followed(self, path: str) -> str:
        parts: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del parts[-1:]
            elif part not in {"", "."}:
                target = self._links.get("/".join([*parts, part]))
                if target is None:
                    parts.append(part)
                    continue
                links += 1
                if links > _MOST_LINKS:
                    return ""
                if target.startswith("/"):
                    parts.clear()
                todo += target.split("/")[::-1]
        return "/".join(parts)


def _stacked(layers: Iterable[Libraries]) -> tuple[dict[str, ElfFile], dict[str, str]]:
    """Put layers on one another: upper ones replace, and delete what they say is gone."""
    files: dict[str, ElfFile] = {}
    links: dict[str, str] = {}
    for layer in layers:
        for gone in layer.gone:
            below = gone if gone.endswith("/") else f"{gone}/"
            for known in (files, links):
                for path in [path for path in known if path == gone or path.startswith(below)]:
                    del known[path]
        for file in layer.files:
            files[file.path] = file
            links.pop(file.path, None)
        for path, target in layer.links.items():
            links[path] = target
            files.pop(path, None)
    return files, links


def _by_soname(files: Iterable[ElfFile], machine: int) -> dict[str, str]:
    """Where the libraries that wheels bring are, by the name they call themselves or are called."""
    named: dict[str, str] = {}
    for file in files:
        if file.owner and file.elf and file.elf.machine == machine and not file.elf.module:
            named.setdefault(file.elf.soname or file.path.rpartition("/")[2], file.path)
    return named
