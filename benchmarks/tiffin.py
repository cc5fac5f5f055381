"""Tiffin as one of the builders."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import names
from .base import base_files
from .command import Command
from .dialect import OURS, Dialect
from .project import Project

DOWNLOADS = ["wheels", "urls", "uv", "debian"]
"""What of the cache is downloaded and not made."""


@dataclass(frozen=True)
class Tiffin:
    """The command line with a home of its own; `pantry` is a home where everything has been built once."""

    home: Path
    pantry: Path
    registry: str
    port: int
    name: str = names.TIFFIN
    daemon: int | None = None
    dialect: Dialect = OURS

    @property
    def address(self) -> str:
        """Where its container answers."""
        return f"127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Make the home anew, with nothing but downloads and the base."""
        shutil.rmtree(self.home, ignore_errors=True)
        for path in [*(Path("cache", download) for download in DOWNLOADS), *base_files(self.pantry)]:
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            Command(["cp", "--archive", "--link", str(self.pantry / path), str(self.home / path)]).run()

    def forget_images(self) -> None:
        """Do nothing: another project is what has not been built yet."""

    def build(self, project: Project) -> Command:
        """`tiffin build`, from the lock."""
        return tiffin(self.home, "build", "--locked", str(project.folder))

    def push(self, project: Project) -> Command:
        """Push by skopeo, until tiffin does."""
        source, target = f"oci:{self.home}/data:{project.name}:latest", f"docker://{self.pushed(project)}"
        return Command(["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", source, target])

    def pushed(self, project: Project) -> str:
        """What the registry calls the image."""
        return f"{self.registry}/tiffin/{project.name}:latest"

    def run(self, project: Project) -> Command:
        """`tiffin run IMAGE`."""
        return self._run(project, project.name)

    def update(self, project: Project) -> Sequence[Command]:
        """`tiffin run FOLDER`."""
        return [self._run(project, str(project.folder))]

    def remove(self, project: Project) -> Sequence[Command]:
        """`tiffin rm --force`."""
        return [tiffin(self.home, "rm", "--force", project.name)]

    def remove_all(self) -> None:
        """Stop and forget every container of this home."""
        for container in json.loads(tiffin(self.home, "ps", "--all", "--json").run()):
            tiffin(self.home, "rm", "--force", container["name"]).run()

    def _run(self, project: Project, what: str) -> Command:
        return tiffin(self.home, "run", "--detach", "--name", project.name, "--publish", str(self.port), what)


def tiffin(home: Path, *arguments: str) -> Command:
    """Run tiffin on a home as it runs where it is installed: with its bytecode, which pip would have made."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {"TIFFIN_HOME": str(home), "TIFFIN_PROGRESS": "none"}
    return Command([sys.executable, "-m", "tiffin", *arguments], {**environment, **own})
