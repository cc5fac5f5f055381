"""What keeps a step that is a process to itself: decided here, and done by `confined` in it. Pure but `here`."""

from __future__ import annotations

import base64
import functools
from typing import Any

import msgspec

from tiffin.engine.embedded.seccomp import tables, without_network
from tiffin.oci.platform import Platform
from tiffin.pipeline.benches import confined

WHOLE = 3
"""The first version of Landlock by which no file can be written, truncation included (Linux 6.2)."""
SOFTWARE = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/sbin", "/usr")
"""Where an image has its programs (hier(7)); of /opt each folder but tiffin's own."""
KERNEL = ("/proc", "/sys")
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/shm", "/dev/tty", "/dev/urandom", "/dev/zero")  # noqa: S108
"""What every step may use: shared memory is how processes of one step speak to each other."""


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What this kernel can take away: the version of its Landlock, 0 for none, and whose system calls it filters."""

    landlock: int = 0
    architecture: str = ""

    @property
    def lacks(self) -> str:
        """Say what cannot be kept from a step here; nothing where all can."""
        if not self.landlock:
            return "files: the kernel has no Landlock"
        if self.landlock < WHOLE:
            return f"truncating files: the kernel's Landlock is version {self.landlock}, and {WHOLE} is needed"
        return "" if self.architecture in tables() else f"the network: no filter is known for {self.architecture}"

    def identity(self) -> dict[str, str]:
        """One more name for what is done without: it is never taken for what was done confined."""
        return {"unconfined": f"landlock-{self.landlock}"} if self.lacks else {}


@functools.cache
def here() -> Confinement:
    """What the kernel of this machine can take away."""
    return Confinement(landlock=confined.landlock(), architecture=Platform.here().architecture)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is left: paths that it may read, those that it may write as well, and whether it has a network."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    network: bool = False


def left(confinement: Confinement, bounds: Bounds) -> dict[str, Any]:
    """Write down what `confined` is to leave."""
    filtered = b"" if bounds.network else without_network(confinement.architecture)
    return {
        "landlock": confinement.landlock,
        "read": bounds.read,
        "write": bounds.write,
        "network": bounds.network,
        "filter": base64.b64encode(filtered).decode(),
    }
