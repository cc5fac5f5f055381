"""Peers with packages and servers of their own, made ready: environments, wheels on loopback, a base with a shell."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.programs.client import Client
from tests.programs.registry import make_authority, registry

from . import names
from .base import NAME
from .bento import BentoML
from .builder import Builder
from .command import Command
from .mlflow import MLflow
from .project import PINS, Project
from .pyoci import PyOCI
from .results import Results
from .served import Served, pinned_version, served
from .shell import make_shell

PACKAGES = {
    names.BENTOML: ["bentoml", "uv"],
    names.MLFLOW: ["mlflow", "gunicorn[gevent]", "pip", "setuptools", "wheel"],
    names.PYOCI: ["pyoci"],
}
"""What a peer is, and what its Dockerfile installs besides."""


@dataclass(frozen=True)
class Kitchen:
    """What the peers share; what is made lives until the stack is left."""

    stack: ExitStack
    scratch: Path
    registry: str
    docker: Client
    project: Project

    def invite(self, results: Results, wanted: Collection[str]) -> tuple[list[Builder], dict[str, str]]:
        """Make each wanted peer ready, and say which versions they are."""
        make = {names.BENTOML: self._bentoml, names.MLFLOW: self._mlflow, names.PYOCI: self._pyoci}
        builders, versions = [], {}
        for name in [name for name in make if name in wanted]:
            try:
                programs, versions[name] = self._install(name)
                builders.append(make[name](programs))
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                results.fail(name, error)
        return builders, versions

    def _install(self, name: str) -> tuple[Path, str]:
        pins = self._served.add(PACKAGES[name], self.project.folder / PINS)
        return self._served.environment(self.scratch / f"{name}-programs", pins), pinned_version(pins, name)

    def _bentoml(self, programs: Path) -> Builder:
        return BentoML(self.scratch / names.BENTOML, programs, self.registry, self._shelled)

    def _mlflow(self, programs: Path) -> Builder:
        return MLflow(self.scratch / names.MLFLOW, programs, self.registry, self._shelled)

    def _pyoci(self, programs: Path) -> Builder:
        secure, file = self._secure
        folder, shelf = self.scratch / names.PYOCI, self.scratch / "shelf"
        return PyOCI(folder, programs, self.registry, secure, file, shelf, self.docker)

    @cached_property
    def _served(self) -> Served:
        """Every wheel of the projects and of the peers, on loopback."""
        here = self.stack.enter_context(served(self.scratch / "served"))
        for wheel in (self.scratch / "shelf" / "wheels").iterdir():
            (here.folder / wheel.name).hardlink_to(wheel)
        return here

    @cached_property
    def _shelled(self) -> Client:
        """The docker that has the base with a shell."""
        make_shell(self.docker, self.scratch / "shell", self._served.address)
        return self.docker

    @cached_property
    def _secure(self) -> tuple[str, Path]:
        """A registry that speaks TLS and has the base, and the file of the authority that signed its certificate."""
        authority = self.scratch / "authority"
        authority.mkdir()
        secure = self.stack.enter_context(registry(make_authority(authority)))
        source = f"oci:{self.scratch}/pantry/data:{NAME}"
        Command(["skopeo", "copy", "--dest-tls-verify=false", source, f"docker://{secure}/{NAME}"]).run()
        return secure, authority / "ca.pem"
