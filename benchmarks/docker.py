"""`docker build` with BuildKit as one of the builders, with pip and with uv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.client import Client
from tests.programs.service import ADDRESS

from .command import Command
from .dialect import OURS, Dialect
from .dockerfile import KEPT, dockerfile
from .project import Project

EVERYTHING: Sequence[str] = ("builder", "prune", "--force", "--all")
BUT_CACHE_MOUNTS: Sequence[str] = (*EVERYTHING, "--filter", "type=regular")


@dataclass(frozen=True)
class Docker:
    """A daemon of our own; `installer` is what its Dockerfile installs wheels with."""

    client: Client
    registry: str
    name: str
    installer: Sequence[str]
    address: str = ADDRESS
    dialect: Dialect = OURS

    @property
    def daemon(self) -> int | None:
        """The process that builds."""
        return daemon(self.client)

    def forget(self) -> None:
        """Remove every image but base and wheels, and prune the build cache, cache mounts and all."""
        forget(self.client, EVERYTHING)

    def forget_images(self) -> None:
        """Remove every image but base and wheels, and prune what was built; cache mounts stay."""
        forget(self.client, BUT_CACHE_MOUNTS)

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
        return [remove(self.client, project.name)]

    @property
    def _slug(self) -> str:
        return self.name.rpartition(" ")[2]

    def pushed(self, project: Project) -> str:
        """What docker and the registry call the image."""
        return f"{self.registry}/{self._slug}/{project.name}:latest"

    def _docker(self, *arguments: str) -> Command:
        return Command(self.client.argv(*arguments), self.client.environment)


def daemon(client: Client) -> int:
    """Tell which process builds for a client."""
    socket = Path(client.environment["DOCKER_HOST"].removeprefix("unix://"))
    return int(socket.with_name("pid").read_text())


def forget(client: Client, prune: Sequence[str]) -> None:
    """Remove every image that was built, and prune the build cache."""
    for line in client("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}").splitlines():
        identifier, _, name = line.partition(" ")
        if name not in KEPT:
            client("image", "rm", "--force", identifier)
    client(*prune)


def run_pushed(client: Client, name: str, reference: str) -> Command:
    """Pull and run what another builder has pushed, to see that it predicts."""
    argv = client.argv("run", "--detach", "--pull=always", "--network=host", f"--name={name}", reference)
    return Command(argv, client.environment)


def remove(client: Client, name: str) -> Command:
    """Stop and remove a container."""
    return Command(client.argv("rm", "--force", name), client.environment)
