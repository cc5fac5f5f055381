"""Whether a replica fits on a machine at all: what can never be is refused before anything is changed."""

from __future__ import annotations

import os

import msgspec

from tiffin.deploy.service import Resources
from tiffin.errors import ConfigError

MEBIBYTE = 1 << 20


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine has: processors, and bytes of memory."""

    cpus: int
    memory: int

    @classmethod
    def here(cls) -> Room:
        """This machine's."""
        return cls(cpus=os.cpu_count() or 1, memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def refuse_too_big(resources: Resources, room: Room) -> None:
    """Raise ConfigError where one replica asks for more than there is of anything."""
    if resources.cpus > room.cpus:
        raise ConfigError(
            f"a replica asks for {resources.cpus:g} processors, and this machine has {room.cpus}",
            "lower `[deploy] cpu`, or deploy it elsewhere",
        )
    if resources.memory > room.memory:
        raise ConfigError(
            f"a replica asks for {resources.memory // MEBIBYTE:,} MiB of memory, and this machine has "
            f"{room.memory // MEBIBYTE:,}",
            "lower `[deploy] memory`, or deploy it elsewhere",
        )
