"""Wheels that another tool has chosen: a pylock (PEP 751), or uv.lock, of which uv makes one."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uv
from packaging.markers import Environment
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name

from tiffin.errors import CommandError, ConfigError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.packages.pypi.found import Found
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.source import named
from tiffin.packages.pypi.wheels import tags

UV_LOCK = "uv.lock"
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_AGAIN = "lock again with the tool that wrote it"


class Unbuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A package that is locked to its source: a folder or file at `path`, or an sdist at an address."""

    name: str
    shown: str
    path: Path | None = None
    sdist: Found | None = None


def locked_wheels(path: Path, python: ImagePython) -> list[Found]:
    """Return the wheels of a lock as `locked_packages` does, where there is nothing to be built."""
    packages = locked_packages(path, python)
    for package in packages:
        if isinstance(package, Unbuilt):
            message = f"{path}: {package.name} is locked to its source, not to a wheel for this image"
            raise UnsupportedError(message, "build its wheel, and lock that")
    return [package for package in packages if isinstance(package, Found)]


def locked_packages(path: Path, python: ImagePython) -> list[Found | Unbuilt]:
    """Return what a lock has for the image, by name; nothing is resolved and no network is asked.

    Raises ConfigError for a lock that is none, or a uv.lock that pyproject.toml has left behind, and UnsupportedError
    by name for what is neither a wheel of this image with a sha256 nor something to build one from.
    """
    if path.name == UV_LOCK:
        _check_current(path)
    text = _exported(path.parent) if path.name == UV_LOCK else _text(path)
    try:
        lock = Pylock.from_dict(tomllib.loads(text))
        chosen = list(lock.select(environment=environment(python), tags=tags(python)))
    except (tomllib.TOMLDecodeError, PylockValidationError, InvalidWheelFilename) as error:
        raise ConfigError(f"{path}: {error}", _AGAIN) from error
    except PylockSelectError as error:
        hint = f"lock again for {python}, or change `[python] version` or the base"
        raise UnsupportedError(f"{path} is not for {python}: {error}", hint) from error
    return sorted((_package(path, package, source) for package, source in chosen), key=lambda package: package.name)


def environment(python: ImagePython) -> Environment:
    """Return what markers are compared with in the image (PEP 508); nothing of this machine goes in."""
    full = python.version if python.version.count(".") > 1 else f"{python.version}.0"
    return Environment(
        implementation_name="cpython",
        implementation_version=full,
        os_name="posix",
        platform_machine=python.platform.machine,
        platform_python_implementation="CPython",
        platform_release="",
        platform_system="Linux",
        platform_version="",
        python_full_version=full,
        python_version=f"3.{python.minor}",
        sys_platform="linux",
    )


def _package(path: Path, package: Package, source: object) -> Found | Unbuilt:
    if isinstance(source, PackageDirectory):
        folder = Path(os.path.normpath(path.parent.absolute() / source.path / (source.subdirectory or "")))
        return Unbuilt(name=package.name, shown=f"{package.name} of {source.path}", path=folder)
    if isinstance(source, PackageArchive) and source.path and not source.url:
        return Unbuilt(name=package.name, shown=f"{package.name} of {source.path}", path=path.parent / source.path)
    if isinstance(source, PackageWheel) and package.version is not None:
        return _file(path, package, source, source.filename)
    if isinstance(source, PackageSdist | PackageArchive) and not getattr(source, "subdirectory", None):
        filename = getattr(source, "filename", "") or urlsplit(source.url or "").path.rpartition("/")[2]
        found = _file(path, package, source, filename)
        if filename.endswith(".whl"):
            return found
        return Unbuilt(name=package.name, shown=f"{package.name}=={package.version}", sdist=found)
    what = type(source).__name__.removeprefix("Package").lower()
    raise UnsupportedError(
        f"{path}: {package.name} is locked to a {what}, not to a wheel or a source with a sha256",
        f"build its wheel, and let {package.name} be that: `{package.name} @ ./wheels/NAME.whl`",
    )


def _file(path: Path, package: Package, source: PackageWheel | PackageSdist | PackageArchive, filename: str) -> Found:
    digits = source.hashes.get("sha256")
    if digits is None:
        raise UnsupportedError(f"{path}: {filename} has no sha256", "lock again from an index that has them")
    if not _HEX.fullmatch(digits):
        raise ConfigError(f"{path}: {filename}: not a sha256: {digits!r}", _AGAIN)
    return Found(
        name=package.name,
        version=str(package.version or named(filename)[1]),
        filename=filename,
        sha256=Digest.parse(f"sha256:{digits.lower()}"),
        size=source.size,
        url=_place(path, source),
    )


def _place(path: Path, file: PackageWheel | PackageSdist | PackageArchive) -> str:
    """Where a file lies: beside the lock where it is there, else at the address it came from."""
    beside = path.parent.absolute() / file.path if file.path else None
    return beside.as_uri() if beside and (beside.exists() or not file.url) else file.url or ""


def _exported(folder: Path) -> str:
    """Let uv write a project, where it is a package, and what it needs as a pylock, without groups of developers."""
    ended = subprocess.run(
        [
            uv.find_uv_bin(), "export", "--project", str(folder.absolute()), "--format", "pylock.toml",
            "--frozen", "--offline", "--no-editable", "--no-default-groups", "--no-header",
            "--no-python-downloads", "--quiet", "--color", "never",
        ],
        cwd=folder,  # paths in it are relative to where uv runs
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )  # fmt: skip
    if ended.returncode:
        raise CommandError(f"uv cannot read {folder / UV_LOCK}\n{ended.stderr.strip()}", "write it anew with `uv lock`")
    return ended.stdout


def _check_current(path: Path) -> None:
    """Refuse a uv.lock whose project asks for other packages by now; uv itself would need the index to tell."""
    project = _table(path.with_name("pyproject.toml")).get("project", {})
    name = canonicalize_name(project.get("name", ""))
    own: dict[str, Any] = next((each for each in _table(path).get("package", []) if each.get("name") == name), {})
    recorded = own.get("metadata", {}).get("requires-dist", [])
    if "dependencies" in project.get("dynamic", []):
        return
    asked = {
        (canonicalize_name(each.name), each.specifier) for each in map(Requirement, project.get("dependencies", []))
    }
    locked = {
        (each["name"], SpecifierSet(each.get("specifier", "")))
        for each in recorded
        if "extra ==" not in each.get("marker", "")
    }
    if changed := sorted({name for name, _ in asked ^ locked}):
        raise ConfigError(f"{path} is older than pyproject.toml: {', '.join(changed)} changed", "renew it: `uv lock`")


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", _AGAIN) from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "name a lock that exists") from error
