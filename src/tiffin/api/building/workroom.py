"""Where wheels are built: sandboxes of the image's own base and Python, with the tools of each build beside them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tiffin.api.building.bases import bringing, fetch_build
from tiffin.api.building.projects import Checkout, debian_of, index_of
from tiffin.api.machine.home import Home
from tiffin.build.foundation import Foundation, foundation_of
from tiffin.build.make import make_layers
from tiffin.build.recipes import AnyRecipe, Wheels
from tiffin.build.workshop import Workshop
from tiffin.engine.embedded.denied import denied
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.tool import tool_argv
from tiffin.engine.embedded.unpacked import Unpacked
from tiffin.errors import TiffinError, UnsupportedError
from tiffin.layers.compiler import ProcessCompiler
from tiffin.layers.layer import Layer
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.oci.platform import Platform
from tiffin.packages.base_image import BaseImage
from tiffin.packages.index import fetch_all
from tiffin.packages.lock import Lock
from tiffin.packages.pins import Origin, WheelPin
from tiffin.packages.pypi.from_source import FromSource

if TYPE_CHECKING:
    from tiffin.packages.pypi.uv_index import UvIndex

_REFUSED = ("bwrap: ", "tiffin: cannot prepare the container")
"""How the lines begin that a sandbox which could not be leaves in a log."""


class ImageRoom:
    """A Workroom of a project's image; `lock` tells what that stands on, when one is needed."""

    def __init__(self, checkout: Checkout, home: Home, index: UvIndex, lock: Callable[[], Lock]) -> None:
        """Take build tools from `index`; layers and what was unpacked are kept in `home` as an image's are."""
        self._checkout = checkout
        self._home = home
        self._index = index
        self._lock = lock
        self._making = threading.Lock()

    @property
    def identity(self) -> Digest:
        """What the interpreter, and all that lies beside it, is made of."""
        return Digest.of(encode([recipe.key for recipe in self._below]))

    def command(self, wheels: Sequence[WheelPin], argv: Sequence[str], env: dict[str, str]) -> list[str]:
        """Return the command that runs `python argv…` where these wheels are installed, with its caller's streams."""
        _check_here(self._checkout.platform)
        tools = [Wheels(wheels=tuple(wheels), links=self._foundation.links)] if wheels else []
        with self._making:
            folders = unpacked_folders(self._home, make_layers([*self._below, *tools], self._workshop))
        program, path = ["/opt/venv/bin/python", *argv], ["/opt/venv/bin", *self._foundation.path]
        return tool_argv(folders, program, machine=Machine.here(), env={"PATH": ":".join(path), **env})

    def refusal(self, log: str) -> TiffinError | None:
        """Return why this machine made no sandbox, where that is what the log says."""
        said = next((line for line in log.splitlines() if line.startswith(_REFUSED)), "")
        return denied(said) if said else None

    @cached_property
    def _foundation(self) -> Foundation:
        return foundation_of(self._lock())

    @property
    def _below(self) -> list[AnyRecipe]:
        return [*self._foundation.roots, *self._foundation.above]

    @cached_property
    def _workshop(self) -> Workshop:
        return Workshop(
            store=self._home.store,
            layers=self._home.records("layers"),
            images=self._home.records("images"),
            bytecode=self._home.records("bytecode"),
            libraries=self._home.records("libraries"),
            wheels=lambda pins: fetch_all(self._index, pins),
            debs=debian_of(self._checkout, self._home).fetch_all,
            bring=bringing(self._checkout, self._home),
            archive=lambda _: fetch_build(self._checkout, self._home)[0],
            compiler=lambda _: ProcessCompiler([]),  # build tools run without bytecode
            sources={},
        )


def unpacked_folders(home: Home, layers: Sequence[Layer]) -> list[Path]:
    """Return where layers lie unpacked, bottom first; those that do not yet are."""
    unpacked = Unpacked(home.data / "unpacked", unpack_layer)
    unpacked.add(home.store, {layer.diff_id: layer.descriptor for layer in layers})
    return unpacked.folders([layer.diff_id for layer in layers])


def from_source(checkout: Checkout, home: Home, lock: Callable[[], Lock], base: BaseImage | None) -> FromSource:
    """Pin a project's packages, building what has no wheel on what a lock says that the image stands on."""
    index = index_of(checkout, home, base)
    room = ImageRoom(checkout, home, index, lock)
    return FromSource(index, room, checkout.folder, checkout.no_source)


def build_again(checkout: Checkout, home: Home, lock: Lock, pins: Sequence[WheelPin]) -> None:
    """Build those of a lock's wheels that no index has and the cache lacks, exactly as they were built."""
    made: list[tuple[WheelPin, Origin]] = [
        (pin, lock.origins[pin.name]) for pin in pins if pin.name in lock.origins and pin in lock.wheels
    ]
    if made:
        index = index_of(checkout, home, lock.base_image)
        missing = [(pin, origin) for pin, origin in made if not index.kept(pin)]
        builds = from_source(checkout, home, lambda: lock, lock.base_image)
        for pin, origin in missing:
            builds.again(pin, origin)


def _check_here(platform: Platform) -> None:
    hint = f"name wheels that were built for {platform} before: `./wheels/NAME.whl`"
    if sys.platform != "linux":
        raise UnsupportedError(f"wheels are built in a sandbox of Linux, and this is {sys.platform}", hint)
    if platform.architecture != Platform.here().architecture:
        raise UnsupportedError(f"a wheel for {platform} cannot be built on {Platform.here()}", hint)
