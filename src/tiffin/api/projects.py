"""A project as the verbs see it: what was written, and the lock that goes with it."""

from __future__ import annotations

import contextvars
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.home import Home
from tiffin.config.base import DEBIAN, Base, parse_base
from tiffin.config.project import Project
from tiffin.config.read import read_project
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.platform import Platform
from tiffin.packages.lock import FILENAME, Inputs, Lock, is_stale, read_lock, write_lock
from tiffin.progress import note

if TYPE_CHECKING:
    from tiffin.packages.base_image import BaseImage, PythonBuild
    from tiffin.packages.debian.debian import Debian
    from tiffin.packages.pypi.image_python import ImagePython
    from tiffin.packages.pypi.requirements import Requirements
    from tiffin.packages.pypi.uv_index import UvIndex

GLIBC = {"bookworm": (2, 36), "trixie": (2, 41)}
"""Debian's suites and the C library they bring."""


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """A project's folder, its file and what that says."""

    folder: Path
    file: Path
    project: Project

    @classmethod
    def of(cls, folder: Path) -> Checkout:
        """Read the project in a folder."""
        file, project = read_project(folder)
        return cls(folder=folder.resolve(), file=file, project=project)

    @property
    def lock_path(self) -> Path:
        """Where the lock is."""
        return self.folder / FILENAME

    @property
    def platform(self) -> Platform:
        """The platform the image is for."""
        asked = self.project.image.platform
        return Platform.parse(asked) if asked else Platform.here()

    @property
    def base(self) -> Base:
        """What the image stands on; raises UnsupportedError for a suite of Debian that is not had."""
        base = parse_base(self.project.image.base)
        if base.kind == DEBIAN and base.where not in GLIBC:
            raise UnsupportedError(
                f"{self.file}: `{self.project.image.base}` is no base that is known - at `$.image.base`",
                f"of Debian's packages there are {', '.join(f'debian:{name}' for name in GLIBC)};"
                f" a registry's image is `docker.io/library/{self.project.image.base}`",
            )
        return base

    def inputs(self) -> Inputs:
        """What the lock must have been made from to be fresh."""
        requirements = self.requirements()
        return Inputs(
            requirements=tuple(requirement.line for requirement in requirements.wanted),
            constraints=tuple(requirement.line for requirement in requirements.constraints),
            python=self.project.python.version,
            platform=self.platform,
            base=self.project.image.base,
            packages=self.project.image.packages,
            build=self.project.python.sha256,
        )

    def requirements(self) -> Requirements:
        """The requirements as they were written; raises ConfigError with file and line."""
        python = self.project.python
        if not python.requirements:
            from tiffin.packages.pypi.requirements import Requirements

            return Requirements.of(python.dependencies, f"{self.file}: $.python.dependencies")
        from tiffin.packages.pypi.image_python import suits
        from tiffin.packages.pypi.sources import read_requirements

        read = read_requirements(self.folder / python.requirements)
        if read.python and not suits(python.version, read.python):
            raise ConfigError(
                f"{self.folder / python.requirements} is for Python {read.python}, and the image has {python.version}",
                f"change `[python] version` and the base in {self.file}",
            )
        return read

    def image_python(self, base: BaseImage | None) -> ImagePython:
        """What the image's wheels have to run on, where it stands on Debian or on a base image."""
        from tiffin.packages.pypi.image_python import ImagePython

        glibc = base.glibc if base else GLIBC[self.base.where]
        return ImagePython(version=self.project.python.version, platform=self.platform, glibc=glibc)


def fresh_lock(checkout: Checkout, home: Home, *, locked: bool = False) -> Lock:
    """Return the project's lock; an absent or stale one is made anew, or refused when it must be `locked`."""
    if not checkout.lock_path.exists():
        if locked:
            raise ConfigError(f"no lock at {checkout.lock_path}", f"`tiffin lock {checkout.folder}` writes it")
        return make_lock(checkout, home)
    lock = read_lock(checkout.lock_path)
    stale = is_stale(lock, checkout.inputs())
    if not stale:
        return lock
    if locked:
        raise ConfigError(f"{checkout.lock_path} is stale: {stale}", f"`tiffin lock {checkout.folder}` renews it")
    note(f"the lock is renewed: {stale}")
    return make_lock(checkout, home)


def make_lock(checkout: Checkout, home: Home) -> Lock:
    """Resolve everything the image is made of but model and code, and write the lock."""
    lock = _debian_lock(checkout, home) if checkout.base.kind == DEBIAN else _image_lock(checkout, home)
    write_lock(lock, checkout.lock_path)
    return lock


def _debian_lock(checkout: Checkout, home: Home) -> Lock:
    """Pin Debian's packages, and the Python packages at the same time; an interpreter may come in an archive."""
    from tiffin.packages.debian.pins import Wanted

    inputs, debian, index = checkout.inputs(), debian_of(checkout, home), index_of(checkout, home)
    wanted = Wanted(
        suite=checkout.base.where,
        python="" if inputs.build else inputs.python,
        architecture=checkout.platform.architecture,
        packages=inputs.packages,
    )
    with ThreadPoolExecutor(1) as pool:
        wheels = pool.submit(contextvars.copy_context().run, index.resolve, checkout.requirements())
        debs = debian.resolve(wanted)
        build = _build(checkout, home) if inputs.build else None
        return Lock.make(inputs, wheels.result(), debs, python_build=build)


def _build(checkout: Checkout, home: Home) -> PythonBuild:
    from tiffin.api.bases import fetch_build

    return fetch_build(checkout, home)[1]


def _image_lock(checkout: Checkout, home: Home) -> Lock:
    """Pin a base image first, since it decides which wheels will do."""
    from tiffin.api.bases import lock_base

    inputs, base = checkout.inputs(), lock_base(checkout, home)
    wheels = index_of(checkout, home, base).resolve(checkout.requirements())
    return Lock.make(inputs, wheels, base_image=base)


def index_of(checkout: Checkout, home: Home, base: BaseImage | None = None) -> UvIndex:
    """The index of Python packages, for the image's interpreter."""
    from tiffin.packages.pypi.uv_index import UvIndex

    return UvIndex(checkout.image_python(base), home.cache)


def debian_of(checkout: Checkout, home: Home) -> Debian:
    """Debian's archive, behind the project's mirror or this machine's."""
    from tiffin.packages.debian.debian import Debian
    from tiffin.packages.debian.sources import find_mirrors

    return Debian(home.cache / "debian", lambda: find_mirrors(checkout.project.image.mirror, os.environ))
