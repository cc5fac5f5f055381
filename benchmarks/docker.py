"""`docker build` with BuildKit as one of the builders, with pip and with uv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.client import Client
from tests.programs.service import ADDRESS

from .command import Command
from .dockerfile import BASE, SHELF, dockerfile
from .project import Project


@dataclass(frozen=True)
class Docker:
    """A daemon of our own; `installer` is what its Dockerfile installs wheels with."""

    client: Client
    registry: str
    name: str
    installer: Sequence[str]
    address: str = ADDRESS

    @property
    def daemon(self) -> int | None:
        """The process that builds."""
        socket = Path(self.client.environment["DOCKER_HOST"].removeprefix("unix://"))
        return int(socket.with_name("pid").read_text())

    def forget(self) -> None:
        """Remove every image but base and wheels, and prune the build cache, cache mounts and all."""
        self._forget("builder", "prune", "--force", "--all")

    def forget_images(self) -> None:
        """Remove every image but base and wheels, and prune what was built; cache mounts stay."""
        self._forget("builder", "prune", "--force", "--all", "--filter", "type=regular")

    def build(self, project: Project) -> Command:
        """`docker build`; no step of it needs a network."""
        file = project.folder / f"Dockerfile.{self._slug}"
        file.write_text(dockerfile(self.installer))
        options = ["--quiet", "--network=none", f"--file={file}", f"--tag={self.pushed(project)}"]
        return self._docker("build", *options, str(project.folder))

    def push(self, project: Project) -> Command:
        """`docker push`."""
        return self._docker("push", "--quiet", self.pushed(project))

    def run(self, project: Project) -> Command:
        """`docker run`."""
        return self._docker("run", "--detach", "--network=host", f"--name={project.name}", self.pushed(project))

    def update(self, project: Project) -> Sequence[Command]:
        """Build, then run."""
        return [self.build(project), self.run(project)]

    def remove(self, project: Project) -> Sequence[Command]:
        """`docker kill` and `docker rm`."""
        return [self._docker("rm", "--force", project.name)]

    @property
    def _slug(self) -> str:
        return self.name.rpartition(" ")[2]

    def pushed(self, project: Project) -> str:
        """What docker and the registry call the image."""
        return f"{self.registry}/{self._slug}/{project.name}:latest"

    def _forget(self, *prune: str) -> None:
        for line in self.client("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}").splitlines():
            identifier, _, name = line.partition(" ")
            if name not in {BASE, SHELF}:
                self.client("image", "rm", "--force", identifier)
        self.client(*prune)

    def _docker(self, *arguments: str) -> Command:
        return Command(self.client.argv(*arguments), self.client.environment)
