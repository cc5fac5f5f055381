"""Which engine a verb speaks to: `--engine`, else TIFFIN_ENGINE, else embedded on Linux and docker elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from tiffin.api.machine.home import Home
from tiffin.engine.spec import Engine
from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest
from tiffin.oci.image import Image
from tiffin.oci.store import Store

EMBEDDED = "embedded"
NAMES = (EMBEDDED, "docker", "podman")
VARIABLE = "TIFFIN_ENGINE"

_chosen: ContextVar[str] = ContextVar("tiffin-engine", default="")


@contextlib.contextmanager
def choosing(name: str) -> Iterator[None]:
    """Let every verb within the block speak to this engine; nothing leaves the choice to the machine."""
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def engine_name(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Decide which engine is meant; raises ConfigError for a name in TIFFIN_ENGINE that none has."""
    name = _chosen.get() or environment.get(VARIABLE, "")
    if name and name not in NAMES:
        raise ConfigError(f"no engine is called {name!r} ({VARIABLE})", f"engines: {', '.join(NAMES)}")
    return name or (EMBEDDED if platform == "linux" else "docker")


def open_engine(home: Home, *, in_turn: bool = False) -> Engine:
    """The engine that is meant, with what is imported only for it; `in_turn` it starts one container after the other.

    For these it has a process that forks their keepers, which begins while the engine is imported.
    """
    name = engine_name()
    if name == EMBEDDED:
        from tiffin.engine.embedded.keepers import ForkServer, execute

        begin = ForkServer().fork if in_turn else execute
        from tiffin.engine.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(home.data, _unpack, begin)
    from tiffin.engine.clients.dialect import DIALECTS
    from tiffin.engine.clients.engine import ClientEngine

    return ClientEngine(DIALECTS[name], _save, copies=home.data / "secrets")


def engine_called(home: Home, name: str, *, in_turn: bool = False) -> Engine:
    """The engine of this name (see `open_engine`)."""
    with choosing(name):
        return open_engine(home, in_turn=in_turn)


def _save(store: Store, images: Mapping[str, Image], out: BinaryIO) -> None:
    """Write images as an archive with what is imported only when there is one to write."""
    from tiffin.store.save import save

    save(store, images, out)


def _unpack(blob: BinaryIO, media_type: str, target: Path, diff_id: Digest) -> None:
    """Unpack a layer with what is imported only when there is one to unpack."""
    from tiffin.layers.unpack import unpack_layer

    unpack_layer(blob, media_type, target, diff_id)
