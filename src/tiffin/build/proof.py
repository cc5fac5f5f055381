"""Whether what is in an image can start, judged before it starts: each wheel's tags, and each file the linker loads.

A file is judged by what is certain. A Python module that cannot be loaded is fatal, and so is a wheel none of whose
libraries can be. Plugins that the rest does without, tests, and one of several builds of a module are not. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from tiffin.build.linking import Fault, Linker
from tiffin.layers.libraries import ElfFile, Libraries
from tiffin.oci.platform import Platform
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.wheels import tags

_TESTS = {"test", "tests", "testing"}
_DIGITS = re.compile(r"\d+")
_GLIBC = re.compile(r"GLIBC_2\.(\d+)")


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
    broken = [found for files in packages.values() for found in _broken(files, linker, subject)]
    modules = [file for files in packages.values() for file in files if _importable(file, subject)]
    loaded = [(file, linker.load(file.path)) for file in modules if linker.fits(file)]
    return Verdict(
        misfits=tuple(_misfits(subject, glibc)) if glibc[1] else (),
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
    modules = [file for file in files if file.path in faults and _importable(file, subject)]
    fatal = {file.path for file in modules if not _optional(file, modules, faults)}
    if not modules:
        libraries = [path for path in faults if ".so" in path.rpartition("/")[2] and ".libs/" not in path]
        fatal = set(libraries) if all(faults[path] for path in libraries) else set()
    for file in files:
        for fault in faults.get(file.path, ()):
            yield Finding(owner_of(file), fault, file.path), file.path in fatal and not _is_test(file.path)


def _importable(file: ElfFile, subject: Subject) -> bool:
    """Whether the image's Python imports a file under its name (PEP 3149, PEP 384)."""
    suffix = file.path.rpartition("/")[2].partition(".")[2]
    python = f"cpython-{subject.python.replace('.', '')}"
    known = {"so", "abi3.so", f"{python}.so", f"{python}-{subject.platform.machine}-linux-gnu.so"}
    return file.elf is not None and file.elf.module and suffix in known


def _optional(file: ElfFile, modules: Iterable[ElfFile], faults: dict[str, set[Fault]]) -> bool:
    """Whether a module is one of several builds of the same, of which each is for another version of a library."""
    others = [other for other in modules if other is not file and _kin(other) == _kin(file)]
    mine = {(fault.library, fault.version) for fault in faults[file.path]}
    return any({(fault.library, fault.version) for fault in faults[other.path]} != mine for other in others)


def _kin(file: ElfFile) -> tuple[str, str]:
    """A module's folder and its name without digits."""
    folder, _, name = file.path.rpartition("/")
    return folder, _DIGITS.sub("", name.partition(".")[0])


def _is_test(path: str) -> bool:
    return not _TESTS.isdisjoint(path.split("/"))


def _glibc(linker: Linker) -> tuple[int, int]:
    """The version of the image's C library, as the newest symbols it has; 0.0 where it is another."""
    libc = linker.find("libc.so.6")
    found = [int(match[1]) for text in (libc.brings if libc else ()) if (match := _GLIBC.fullmatch(text))]
    return (2, max(found)) if found else (0, 0)


def _misfits(subject: Subject, glibc: tuple[int, int]) -> Iterator[str]:
    """The wheels whose tags the image's interpreter, C library and machine do not take (PEP 425)."""
    accepted = set(tags(ImagePython(version=subject.python, platform=subject.platform, glibc=glibc)))
    for wheel in sorted(subject.wheels):
        try:
            offered = parse_wheel_filename(wheel.filename)[-1]
        except InvalidWheelFilename:
            offered = frozenset()
        if accepted.isdisjoint(offered):
            yield wheel.filename
