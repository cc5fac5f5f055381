"""What the supervisor needs from elsewhere: images, and how their containers and fronts are started. A seam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tiffin.deploy.service import Template
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import ContainerSpec, Engine


class Workshop(Protocol):
    """Makes of a template what runs."""

    @property
    def engine(self) -> Engine:
        """What runs containers."""
        ...

    def check(self, template: Template) -> None:
        """Refuse what cannot run here, before anything is changed; raises what is wrong and what to do about it."""
        ...

    def spec(self, template: Template, options: RunOptions) -> ContainerSpec:
        """Decide how a replica runs, and have its image where the engine finds it."""
        ...

    def documents(self, template: Template) -> Mapping[str, bytes]:
        """What the front of the image is told, as files by name; `service.json` is one."""
        ...

    def front(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """The program of a front, which is this tiffin's and no image's, and its environment."""
        ...
