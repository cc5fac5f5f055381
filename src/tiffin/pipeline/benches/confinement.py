"""What keeps a step that is a process to itself: decided here, and done by `confined` in it. Pure but `here`."""

from __future__ import annotations

import base64
import errno
import functools
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from tiffin.oci.platform import Platform
from tiffin.pipeline.benches import confined

WHOLE = 3
"""The first version of Landlock by which no file can be written, truncation included (Linux 6.2)."""
SOFTWARE = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/sbin", "/usr")
"""Where an image has its programs (hier(7)); of /opt each folder but tiffin's own."""
KERNEL = ("/proc", "/sys")
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/shm", "/dev/tty", "/dev/urandom", "/dev/zero")  # noqa: S108
"""What every step may use: shared memory is how processes of one step speak to each other."""

_AUDIT = {"amd64": 0xC000003E, "arm64": 0xC00000B7}
_SOCKET = {"amd64": 41, "arm64": 198}
_IO_URING_SETUP = 425
_X32 = 0x40000000
_AF_UNIX = 1
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data."""


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
        return "" if self.architecture in _AUDIT else f"the network: no filter is known for {self.architecture}"

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


@functools.cache
def without_network(architecture: str) -> bytes:
    """Compile a filter that lets no socket be made but those between processes of one machine (AF_UNIX).

    The calls of io_uring, which could make one too, are not there. Nothing for an architecture that is not known.
    """
    if architecture not in _AUDIT:
        return b""
    program: Sequence[tuple[int, int, int, int]] = (
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[architecture]),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_EQUAL, 0, 1, _IO_URING_SETUP),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_EQUAL, 1, 0, _SOCKET[architecture]),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 0, 1, _AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.EACCES),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
