"""Tiffin as files, with what it runs on: what is installed here, for an image that has to run it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from tiffin.errors import TiffinError, UnsupportedError
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.wheels import tags

OLDEST = 11
"""The N of the oldest Python 3.N that tiffin runs on."""
_NAME = "tiffin"
_PACKAGES = ("tiffin", "tiffin_convert", "tiffin_pipeline", "tiffin_serve")
_SCRIPTS = "bin"
_OF_AN_INSTALLER = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""Files of a distribution's metadata that say how it came here."""


def itself(python: ImagePython) -> dict[str, Path]:
    """Where tiffin's files go, and those of all that it needs: path in a folder -> path here.

    Raises UnsupportedError where what is installed here is for another Python or machine than the image's.
    """
    if python.minor < OLDEST:
        raise UnsupportedError(
            f"tiffin does not run on the environment's Python {python.version}",
            f'write `version = "3.{OLDEST}"` or newer in `[python]`',
        )
    files = {path: here for package in _PACKAGES for path, here in _package(package)}
    for each in _needed():
        _refuse_misfit(each, python)
        files |= dict(_installed(each))
    return files


def _package(name: str) -> Iterator[tuple[str, Path]]:
    """The files of one of tiffin's own packages, wherever it lies."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise TiffinError(f"the installed tiffin lacks {name}", "install tiffin again")
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in root.rglob("*"):
        inside = path.relative_to(root.parent).as_posix()
        if path.is_file() and _is_source(inside):
            yield inside, path


def _needed() -> list[Distribution]:
    """What tiffin needs, and what that does: no extras, sorted by name."""
    found: dict[str, Distribution] = {}
    waiting = _requirements(distribution(_NAME))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            raise TiffinError(f"{name} is not installed, which tiffin needs", "install tiffin again") from None
        waiting += _requirements(found[name])
    return [found[name] for name in sorted(found)]


def _requirements(of: Distribution) -> list[str]:
    wanted = [Requirement(line) for line in of.requires or ()]
    return [canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]


def _installed(one: Distribution) -> Iterator[tuple[str, Path]]:
    """The files of a distribution by its RECORD; of its scripts the programs, which need no interpreter's path."""
    for path in one.files or ():
        here = Path(str(one.locate_file(path)))
        if ".." not in path.parts:
            if _is_source(path.as_posix()) and here.is_file():
                yield path.as_posix(), here
        elif path.parent.name == _SCRIPTS and _is_program(here):
            yield f"{_SCRIPTS}/{path.name}", here


def _is_source(path: str) -> bool:
    name = path.rpartition("/")[2]
    return "__pycache__/" not in path and not (".dist-info/" in path and name in _OF_AN_INSTALLER)


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) != b"#!"


def _refuse_misfit(one: Distribution, python: ImagePython) -> None:
    """Refuse what was compiled for another interpreter, machine or C library."""
    said = [line.partition(":")[2].strip() for line in (one.read_text("WHEEL") or "").splitlines() if "Tag:" in line]
    offered = {tag for each in said for tag in parse_tag(each)}
    if offered and offered.isdisjoint(tags(python)):
        here = f"3.{sys.version_info.minor}"
        raise UnsupportedError(
            f"{one.name} {one.version}, which tiffin needs, is installed for {said[0]}, and not for {python}",
            f"run tiffin with Python {python.version} on {python.platform}, or write"
            f' `version = "{here}"` in `[python]`',
        )
