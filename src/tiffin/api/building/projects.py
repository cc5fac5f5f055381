"""A project as the verbs see it: what was written, and the lock that goes with it."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.machine.home import Home
from tiffin.config.base import DEBIAN, Base, parse_base
from tiffin.config.project import Project
from tiffin.config.read import read_project
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.platform import Platform
from tiffin.packages.lock import FILENAME, Inputs, Lock, is_stale, read_lock, with_wheels, write_lock
from tiffin.packages.pins import Origin
from tiffin.progress import note

if TYPE_CHECKING:
    from tiffin.packages.base_image import BaseImage
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
    def of(cls, folder: Path, *, needs_model: bool = True) -> Checkout:
        """Read the project in a folder; one that only has a pipeline, as yet, needs no model."""
        file, project = read_project(folder, needs_model=needs_model)
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

    @property
    def no_source(self) -> frozenset[Path]:
        """The files of the project that no wheel is built from: they change without it, or it without them."""
        model, data = self.project.model.path, self.training_data
        own = {self.file} if self.file.name != "pyproject.toml" else set()
        named = ({self.folder / model} if model else set()) | ({data} if data else set())
        return frozenset({self.lock_path, *(path.resolve() for path in own)} | named)

    @property
    def training_data(self) -> Path | None:
        """Where the data that the model was trained with is, if the project says so."""
        named = self.project.model.training_data
        return self.folder / named if named else None

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
            convert=self.project.model.convert,
        )

    def requirements(self) -> Requirements:
        """The requirements as they were written; raises ConfigError with file and line."""
        python = self.project.python
        if not python.requirements:
            from tiffin.packages.pypi.requirements import Requirements

            return Requirements.of(python.dependencies, f"{self.file}: $.python.dependencies", self.folder)
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
    edited = [] if stale else edited_sources(checkout, lock)
    if not stale and not edited:
        return lock
    reason = stale or f"{', '.join(edited)} changed"
    if locked:
        raise ConfigError(f"{checkout.lock_path} is stale: {reason}", f"`tiffin lock {checkout.folder}` renews it")
    note(f"the lock is renewed: {reason}")
    renewed = None if stale else rebuilt(checkout, home, lock, edited)
    return renewed or make_lock(checkout, home, lock.origins)


def edited_sources(checkout: Checkout, lock: Lock) -> list[str]:
    """Return the paths whose content is not what the lock's wheels were built from."""
    if not any(origin.path for origin in lock.origins.values()):
        return []
    from tiffin.packages.pypi.source import Source

    def changed(origin: Origin) -> bool:
        found = Source.local(checkout.folder / origin.path, origin.path, checkout.no_source)
        return found.digest != origin.source

    return [origin.path for origin in lock.origins.values() if origin.path and changed(origin)]


def rebuilt(checkout: Checkout, home: Home, lock: Lock, edited: list[str]) -> Lock | None:
    """Return the lock with the wheels of edited sources built anew; None where one of them needs other packages now."""
    from tiffin.api.building.workroom import from_source

    made = {}
    builds = from_source(checkout, home, lambda: lock, lock.base_image)
    for name, origin in lock.origins.items():
        if origin.path in edited:
            made[name] = builds.renewed(origin.path, origin)
    if any(one.pin.name != name or one.origin.needs != lock.origins[name].needs for name, one in made.items()):
        return None
    wheels = [made[pin.name].pin if pin.name in made else pin for pin in lock.wheels]
    renewed = with_wheels(lock, wheels, lock.origins | {name: one.origin for name, one in made.items()})
    write_lock(renewed, checkout.lock_path)
    return renewed


def make_lock(checkout: Checkout, home: Home, before: Mapping[str, Origin] = {}) -> Lock:
    """Resolve everything the image is made of but model and code, and write the lock.

    A base image is pinned first, since it decides which wheels will do; Debian's packages at the same time as wheels.
    `before` is what the wheels of an earlier lock came from.
    """
    from tiffin.api.building.workroom import from_source

    base = _base_image(checkout, home)
    with ThreadPoolExecutor(1) as pool:
        bare = pool.submit(contextvars.copy_context().run, _without_wheels, checkout, home, base)
        requirements = checkout.requirements()
        pinned = from_source(checkout, home, bare.result, base).resolve(requirements, before)
        lock = with_wheels(bare.result(), pinned.wheels, pinned.origins)
        if checkout.project.model.convert:
            from tiffin.packages.pypi.converter import with_converter

            lock = with_converter(lock, index_of(checkout, home, base), requirements)
    write_lock(lock, checkout.lock_path)
    return lock


def _base_image(checkout: Checkout, home: Home) -> BaseImage | None:
    if checkout.base.kind == DEBIAN:
        return None
    from tiffin.api.building.bases import lock_base

    return lock_base(checkout, home)


def _without_wheels(checkout: Checkout, home: Home, base: BaseImage | None) -> Lock:
    """Pin what the wheels of an image stand on; an interpreter may come in an archive."""
    if base:
        return Lock.make(checkout.inputs(), base_image=base)
    from tiffin.api.building.bases import fetch_build
    from tiffin.packages.debian.pins import Wanted

    inputs, debian = checkout.inputs(), debian_of(checkout, home)
    wanted = Wanted(
        suite=checkout.base.where,
        python="" if inputs.build else inputs.python,
        architecture=checkout.platform.architecture,
        packages=inputs.packages,
    )
    build = fetch_build(checkout, home)[1] if inputs.build else None
    return Lock.make(inputs, debs=debian.resolve(wanted), python_build=build)


def index_of(checkout: Checkout, home: Home, base: BaseImage | None = None) -> UvIndex:
    """The index of Python packages, for the image's interpreter: what the project says of indexes, then the machine."""
    from tiffin.packages.pypi.pip_settings import machine_settings
    from tiffin.packages.pypi.uv_index import UvIndex

    settings = checkout.requirements().settings.over(machine_settings(os.environ, checkout.folder))
    return UvIndex(checkout.image_python(base), home.cache, settings)


def debian_of(checkout: Checkout, home: Home) -> Debian:
    """Debian's archive, behind the project's mirror or this machine's."""
    from tiffin.packages.debian.debian import Debian
    from tiffin.packages.debian.sources import find_mirrors

    return Debian(home.cache / "debian", lambda: find_mirrors(checkout.project.image.mirror, os.environ))
