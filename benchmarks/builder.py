"""The seam that tiffin and its peers fit: which commands make an image of a project, and what can be forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from .command import Command
from .dialect import Dialect
from .project import Project


class Builder(Protocol):
    """One way to make an image of a project."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    @property
    def daemon(self) -> int | None:
        """The process that does the work for the commands, where it is not they themselves."""
        ...

    def forget(self) -> None:
        """Empty every cache but the downloaded wheels and the base."""
        ...

    def forget_images(self) -> None:
        """Forget what was built, but not what is kept of wheels."""
        ...

    def build(self, project: Project) -> Command:
        """Build the project's image."""
        ...

    def push(self, project: Project) -> Command:
        """Push the built image to the registry on loopback."""
        ...

    def pushed(self, project: Project) -> str:
        """What the registry calls the image."""
        ...

    @property
    def dialect(self) -> Dialect:
        """How its containers are asked."""
        ...

    @property
    def address(self) -> str:
        """The `host:port` a container of it answers on."""
        ...

    def run(self, project: Project) -> Command:
        """Start a container of the image."""
        ...

    def remove(self, project: Project) -> Sequence[Command]:
        """Stop the container and forget it."""
        ...


@runtime_checkable
class Runner(Builder, Protocol):
    """A builder that runs its images itself."""

    def update(self, project: Project) -> Sequence[Command]:
        """Build what has changed and start a container of it."""
        ...
