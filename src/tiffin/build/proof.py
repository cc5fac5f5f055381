"""Whether what is in an image can start, judged before it starts: each wheel's tags, and each file the linker loads.

Only what is certain is fatal. Many wheels work with some of their files not loading: plugins for libraries that few
have, tests, one build of a module for each version of a library. So a Python module that cannot be loaded is fatal
where it lacks a version of symbols, or a library that any wheel may expect of a system, or what most modules of its
package lack; and in a package without modules, where none of its libraries can be loaded. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tiffin.build.linking import Fault, Linker
from tiffin.layers.libraries import ElfFile, Libraries
from tiffin.oci.platform import Platform
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.wheels import misfits

_TESTS = {"test", "tests", "testing"}
_DIGITS = re.compile(r"\d+")
_GLIBC = re.compile(r"GLIBC_2\.(\d+)")
_C_LIBRARY = "libc.so.6 libdl.so.2 libm.so.6 libnsl.so.1 libpthread.so.0 libresolv.so.2 librt.so.1 libutil.so.1"
_COMPILERS = "libatomic.so.1 libgcc_s.so.1 libstdc++.so.6"
_WINDOWS = "libGL.so.1 libICE.so.6 libSM.so.6 libX11.so.6 libXext.so.6 libXrender.so.1"
_OTHERS = "libexpat.so.1 libglib-2.0.so.0 libgobject-2.0.so.0 libgthread-2.0.so.0 libz.so.1"
EXPECTED = frozenset(f"{_C_LIBRARY} {_COMPILERS} {_WINDOWS} {_OTHERS}".split())
"""Libraries that a manylinux wheel need not bring (PEP 513, PEP 571, PEP 600), so that its builders count on them."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged: an image's wheels, and the dynamic linker's view of its layers, bottom first.

    `own` says of each layer whether it is the project's, so that its files are judged: the base's are only found.
    """

    python: str
    platform: Platform
    wheels: tuple[WheelPin, ...]
    layers: tuple[Libraries, ...]
    own: tuple[bool, ...]
    search: tuple[str, ...] = ()
    """The image's LD_LIBRARY_PATH."""


class Lack(NamedTuple):
    """A library, or a version of its symbols, that is not there."""

    library: str
    version: str


Faults = Mapping[str, Collection[Fault]]
"""What is wrong with loading files, by their paths."""


class Finding(msgspec.Struct, frozen=True, order=True):
    """What is wrong with a file of a package."""

    owner: str
    fault: Fault
    at: str
    """The file that cannot be loaded, of which the fault's may be a library."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, sorted."""

    misfits: tuple[str, ...] = ()
    """Wheels whose tags say that they are for something else."""
    glibc: tuple[int, int] = (0, 0)
    fatal: tuple[Finding, ...] = ()
    noted: tuple[Finding, ...] = ()
    elsewhere: tuple[Finding, ...] = ()
    """Libraries that are found only where another package loads them first."""
    damaged: tuple[str, ...] = ()
    driver: tuple[str, ...] = ()
    """Packages that cannot be imported without NVIDIA's driver."""


def judge(subject: Subject) -> Verdict:
    """Say what in an image cannot be loaded, and which of it the image cannot do without."""
    linker = Linker(subject.layers, subject.platform, subject.search)
    packages = _packages(subject)
    glibc = _glibc(linker)
    python = ImagePython(version=subject.python, platform=subject.platform, glibc=glibc)
    broken = [found for files in packages.values() for found in _broken(files, linker, subject)]
    modules = [file for files in packages.values() for file in files if _importable(file, subject)]
    loaded = [(file, linker.load(file.path)) for file in modules if linker.fits(file)]
    return Verdict(
        misfits=tuple(misfits((wheel.filename for wheel in subject.wheels), python)) if glibc[1] else (),
        glibc=glibc,
        fatal=tuple(sorted({finding for finding, fatal in broken if fatal})),
        noted=tuple(sorted({finding for finding, fatal in broken if not fatal})),
        elsewhere=tuple(
            sorted({Finding(owner_of(file), fault, file.path) for file, all_ in loaded for fault in all_.elsewhere})
        ),
        damaged=tuple(sorted(file.path for files in packages.values() for file in files if file.damaged)),
        driver=tuple(sorted({owner_of(f) for f, all_ in loaded if all_.driver})),
    )


def owner_of(file: ElfFile) -> str:
    """Name the package that a file belongs to: its wheel, else the folder it is in."""
    return file.owner or file.path.rpartition("/")[0]


def _packages(subject: Subject) -> dict[str, list[ElfFile]]:
    """The files that are judged, by their package."""
    packages: dict[str, list[ElfFile]] = {}
    for layer, own in zip(subject.layers, subject.own, strict=True):
        for file in layer.files if own else ():
            packages.setdefault(owner_of(file), []).append(file)
    return packages


def _broken(files: Sequence[ElfFile], linker: Linker, subject: Subject) -> Iterator[tuple[Finding, bool]]:
    """What cannot be loaded of one package, and whether that is fatal."""
    faults = {file.path: set(linker.load(file.path).faults) for file in files if linker.fits(file)}
    modules = [file.path for file in files if file.path in faults and _importable(file, subject)]
    fatal = _fatal_modules(modules, faults) if modules else _fatal_libraries(faults)
    for file in files:
        for fault in faults.get(file.path, ()):
            certain = (file.path, _lack(fault)) in fatal and not _is_test(file.path)
            yield Finding(owner_of(file), fault, file.path), certain


def _fatal_modules(modules: Sequence[str], faults: Faults) -> set[tuple[str, Lack]]:
    """What modules lack that their package is certain not to do without, each with the module."""
    counted = Counter(lack for path in modules for lack in _lacks(faults[path]))
    return {
        (path, lack)
        for path in modules
        for lack in _lacks(faults[path])
        if not _is_optional(path, modules, faults)
        and (lack.version or lack.library in EXPECTED or 2 * counted[lack] >= len(modules))
    }


def _fatal_libraries(faults: Faults) -> set[tuple[str, Lack]]:
    """What the libraries of a package without modules lack, where none of them can be loaded."""
    paths = [path for path in faults if ".so" in path.rpartition("/")[2] and ".libs/" not in path]
    if not all(faults[path] for path in paths):
        return set()
    return {(path, lack) for path in paths for lack in _lacks(faults[path])}


def _lack(fault: Fault) -> Lack:
    return Lack(fault.library, fault.version)


def _lacks(faults: Iterable[Fault]) -> set[Lack]:
    return {_lack(fault) for fault in faults}


def _importable(file: ElfFile, subject: Subject) -> bool:
    """Whether the image's Python imports a file under its name (PEP 3149, PEP 384)."""
    suffix = file.path.rpartition("/")[2].partition(".")[2]
    python = f"cpython-{subject.python.replace('.', '')}"
    known = {"so", "abi3.so", f"{python}.so", f"{python}-{subject.platform.machine}-linux-gnu.so"}
    return file.elf is not None and file.elf.module and suffix in known


def _is_optional(path: str, modules: Iterable[str], faults: Faults) -> bool:
    """Whether a module is one of several builds of the same, of which each is for another version of a library."""
    others = [other for other in modules if other != path and _kin(other) == _kin(path)]
    return any(_lacks(faults[other]) != _lacks(faults[path]) for other in others)


def _kin(path: str) -> tuple[str, str]:
    """A module's folder and its name without digits."""
    folder, _, name = path.rpartition("/")
    return folder, _DIGITS.sub("", name.partition(".")[0])


def _is_test(path: str) -> bool:
    return not _TESTS.isdisjoint(path.split("/"))


def _glibc(linker: Linker) -> tuple[int, int]:
    """The version of the image's C library, as the newest symbols it has; 0.0 where it is another."""
    libc = linker.find("libc.so.6")
    found = [int(match[1]) for text in (libc.brings if libc else ()) if (match := _GLIBC.fullmatch(text))]
    return (2, max(found)) if found else (0, 0)
