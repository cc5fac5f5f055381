"""What the supervisor needs from elsewhere: images, and how their containers and fronts are started. A seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tiffin.deploy.service import Template
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import ContainerSpec, Engine


class Workshop(Protocol):
    """Makes of a template what runs."""

    @property
    def engine(self) -> Engine:
        """What runs containers, where nothing else is said."""
        ...

    @property
    def usual(self) -> str:
        """What that one is called."""
        ...

    def engine_called(self, name: str) -> Engine:
        """The engine of a template, the usual one where it names none; raises what keeps it from being used."""
        ...

    def engines(self) -> Sequence[Engine]:
        """The usual engine, and every other that was called for."""
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

    def relay(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """The same for images that are not tiffin's: it relays connections."""
        ...
