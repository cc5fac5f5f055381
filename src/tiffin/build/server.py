"""The server layer's parts: the server's own files, and the packages of its front from locks that tiffin ships."""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path

import msgspec

from tiffin.errors import TiffinError, UnsupportedError
from tiffin.oci.documents import decode
from tiffin.oci.platform import Platform
from tiffin.packages.pins import WheelPin

FRONT = "opt/tiffin/front"
WORKER = "opt/tiffin/worker"
LOCKS = "server_locks.json"
GRPC_LOCKS = "server_grpc_locks.json"
KINDS = {".py", ".html", ".css", ".js", ".svg"}


class ServerLock(msgspec.Struct, frozen=True, kw_only=True):
    """The front's packages for one Python and one architecture."""

    python: str
    architecture: str
    wheels: tuple[WheelPin, ...]


def server_wheels(python: str, platform: Platform) -> tuple[WheelPin, ...]:
    """The front's packages; raises UnsupportedError that lists the Pythons there are."""
    return _locked(LOCKS, python, platform)


def grpc_wheels(python: str, platform: Platform) -> tuple[WheelPin, ...]:
    """What the front needs besides to answer gRPC; raises UnsupportedError that lists the Pythons there are."""
    return _locked(GRPC_LOCKS, python, platform)


def _locked(name: str, python: str, platform: Platform) -> tuple[WheelPin, ...]:
    data = importlib.resources.files("tiffin.build").joinpath(name).read_bytes()
    locks = decode(list[ServerLock], data, name)
    for lock in locks:
        if (lock.python, lock.architecture) == (python, platform.architecture):
            return lock.wheels
    there = ", ".join(sorted({lock.python for lock in locks}, key=lambda version: int(version.partition(".")[2])))
    raise UnsupportedError(f"the server does not run on Python {python} for {platform}", f"it runs on {there}")


def server_files() -> dict[str, Path]:
    """Where the server's own files go: path in the image -> path here."""
    spec = importlib.util.find_spec("tiffin_serve")
    if spec is None or not spec.submodule_search_locations:
        raise TiffinError("the installed tiffin lacks its server", "install tiffin again")
    root = Path(next(iter(spec.submodule_search_locations)))
    front = [root / "__init__.py", *_sources(root / "protocol"), *_sources(root / "front")]
    worker = [root / "__init__.py", *_sources(root / "worker")]
    return {
        f"{FRONT}/__main__.py": root / "front" / "boot.py",
        f"{WORKER}/__main__.py": root / "worker" / "boot.py",
        **{f"{FRONT}/tiffin_serve/{file.relative_to(root).as_posix()}": file for file in front},
        **{f"{WORKER}/tiffin_serve/{file.relative_to(root).as_posix()}": file for file in worker},
    }


def _sources(folder: Path) -> list[Path]:
    """Modules, and what pages are made of."""
    return sorted(file for file in folder.rglob("*.*") if file.suffix in KINDS and file.is_file())
