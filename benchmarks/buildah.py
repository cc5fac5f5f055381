"""`buildah bud` as one of the builders: no daemon, the same Dockerfile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.client import Client
from tests.programs.service import ADDRESS

from . import names
from .command import Command
from .dialect import OURS, Dialect
from .docker import remove, run_pushed
from .dockerfile import KEPT, UV, dockerfile
from .project import Project


@dataclass(frozen=True)
class Buildah:
    """A storage of our own under `folder`, its cache mounts too."""

    folder: Path
    registry: str
    docker: Client
    name: str = names.BUILDAH
    daemon: int | None = None
    address: str = ADDRESS
    dialect: Dialect = OURS

    def forget(self) -> None:
        """Remove every image but base and wheels, and the cache mounts."""
        self.forget_images()
        for mount in (self.folder / "tmp").glob("buildah-cache*"):
            Command(["rm", "-rf", str(mount)]).run()

    def forget_images(self) -> None:
        """Remove every image but base and wheels."""
        listed = self.buildah("images", "--all", "--noheading", "--format", "{{.ID}} {{.Name}}:{{.Tag}}").run()
        kept = {line.split()[0] for line in listed.splitlines() if line.split()[1] in KEPT}
        if built := {line.split()[0] for line in listed.splitlines()} - kept:
            self.buildah("rmi", "--force", *built).run()

    def build(self, project: Project) -> Command:
        """`buildah bud`, layer by layer."""
        file = project.folder / "Dockerfile.buildah"
        file.write_text(dockerfile(UV))
        options = ["--quiet", "--layers", "--isolation=chroot", "--network=host", "--pull-never"]
        return self.buildah("bud", *options, f"--file={file}", f"--tag={self.pushed(project)}", str(project.folder))

    def push(self, project: Project) -> Command:
        """`buildah push`."""
        return self.buildah("push", "--quiet", "--tls-verify=false", self.pushed(project))

    def buildah(self, *arguments: str) -> Command:
        """Any command of it on this storage."""
        environment = {**os.environ, "TMPDIR": str(self.folder / "tmp")}
        storage = [f"--root={self.folder}/root", f"--runroot={self.folder}/run", "--storage-driver=overlay"]
        return Command(["/usr/bin/buildah", *storage, *arguments], environment)

    def run(self, project: Project) -> Command:
        """Let docker pull and run what was pushed, to be checked."""
        return run_pushed(self.docker, project.name, self.pushed(project))

    def remove(self, project: Project) -> Sequence[Command]:
        """Remove docker's container."""
        return [remove(self.docker, project.name)]

    def pushed(self, project: Project) -> str:
        """What buildah and the registry call the image."""
        return f"{self.registry}/buildah/{project.name}:latest"
