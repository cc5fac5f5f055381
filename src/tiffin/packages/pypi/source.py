"""What a wheel is built from: a folder, an sdist, or nothing where a local file is a wheel already."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tomllib
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from tiffin.errors import ConfigError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.packages.pypi.trees import Tree

_LEGACY = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)
"""What a project without a build system means (PEP 517, "build-system table")."""
_DOCUMENT = 4 << 20
"""Bytes of the largest pyproject.toml that is read."""
_MOST_MEMBERS = 100_000
"""Members of an sdist among which its pyproject.toml is looked for."""


class BuildSystem(msgspec.Struct, frozen=True, kw_only=True):
    """What builds a source (PEP 518): requirements, and where the hooks are."""

    requires: tuple[str, ...] = _LEGACY_REQUIRES
    backend: str = _LEGACY
    path: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Something to build a wheel from, by what stands for all of its content.

    `shown` is what people call it; `name` and `version` are what the wheel must be, where that is known before; `path`
    is the folder or file.
    """

    shown: str
    path: Path
    digest: Digest
    name: str = ""
    version: str = ""
    tree: Tree | None = None

    @classmethod
    def local(cls, path: Path, shown: str, without: Collection[Path] = ()) -> Source:
        """Take what lies at a path; raises NotFoundError for nothing and ConfigError for what no wheel comes from."""
        if path.is_dir():
            tree = Tree.of(path, without)
            if not {"pyproject.toml", "setup.py"} & {name for name, _ in tree.files}:
                hint = "name the folder with its pyproject.toml"
                raise ConfigError(f"{path} has neither pyproject.toml nor setup.py: no wheel can be built of it", hint)
            return cls(shown=shown, path=path, digest=tree.digest, tree=tree)
        try:
            with path.open("rb") as file:
                digest = Digest.of_stream(file)
        except OSError as error:
            raise NotFoundError(f"{shown}: cannot read {path}: {error.strerror}", "name what exists") from error
        name, version = named(path.name)
        return cls(shown=shown, path=path, digest=digest, name=name, version=version)

    @property
    def is_wheel(self) -> bool:
        """Whether there is nothing to build."""
        return self.path.suffix == ".whl" and self.tree is None

    @contextlib.contextmanager
    def packed(self) -> Iterator[BinaryIO]:
        """Open it as a tar or zip."""
        if self.tree is None:
            with self.path.open("rb") as file:
                yield file
        else:
            packed = io.BytesIO()
            self.tree.pack(packed)
            packed.seek(0)
            yield packed

    def build_system(self) -> BuildSystem:
        """Read what builds it; raises ConfigError for a pyproject.toml that is none."""
        text = self._pyproject()
        try:
            table = tomllib.loads(text.decode()).get("build-system")
            return msgspec.convert(_renamed(table), BuildSystem) if table else BuildSystem()
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{self.shown}: its pyproject.toml: {error}", "see PEP 518") from error

    def _pyproject(self) -> bytes:
        if self.tree:
            found = dict(self.tree.files).get("pyproject.toml")
            return found.read_bytes() if found else b""
        try:
            return _in_zip(self.path) if self.path.suffix == ".zip" else _in_tar(self.path)
        except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
            raise ConfigError(f"{self.shown} cannot be unpacked: {error}", "get it anew") from error


def named(filename: str) -> tuple[str, str]:
    """Return the name and version of a wheel or sdist; raises ConfigError for any other file."""
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        hint = "name a folder with a pyproject.toml, a .whl, or a .tar.gz whose name says its version"
        raise ConfigError(f"{filename} is neither a wheel nor an sdist: {error}", hint) from error
    return name, str(version)


def _renamed(table: Any) -> dict[str, Any]:
    keys = {"requires": "requires", "build-backend": "backend", "backend-path": "path"}
    return {keys[key]: value for key, value in table.items() if key in keys} if isinstance(table, dict) else {"path": 0}


def _in_tar(path: Path) -> bytes:
    with tarfile.open(path) as archive:
        for _, member in zip(range(_MOST_MEMBERS), archive, strict=False):
            if _is_pyproject(member.name) and member.isfile():
                return _limited(archive.extractfile(member))
    return b""


def _in_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist()[:_MOST_MEMBERS]:
            if _is_pyproject(name):
                with archive.open(name) as file:
                    return _limited(file)
    return b""


def _is_pyproject(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return len(parts) == 2 and parts[1] == "pyproject.toml"  # noqa: PLR2004 - below the sdist's one folder


def _limited(file: IO[bytes] | None) -> bytes:
    return file.read(_DOCUMENT) if file else b""
