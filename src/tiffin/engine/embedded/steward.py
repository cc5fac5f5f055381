"""What stays of a keeper's rights when it gives them up: a process that does two things for it, and knows no other.

It starts the program again, and what stands beside it, when the keeper sends it a run's descriptors. When that has
ended, by whatever, it removes what only the keeper's starter may: control groups, and a container that is to be removed
at its end. It is there only for a container that needs one of these. Standard library only (see `keeper`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import socket

from tiffin.engine.embedded import cgroup, linux
from tiffin.engine.embedded.forget import forget

_MESSAGE, _DESCRIPTORS = 32, 64
"""Bytes and descriptors of the longest message."""

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import NoReturn

    from tiffin.engine.embedded.spawn import Origin


class Steward:
    """The keeper's view of its steward; `removed` are the folder and the name of a container to remove at its end."""

    def __init__(self, origin: Origin, groups: list[str], removed: tuple[str, str] | None) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if not os.fork():
            _serve(theirs, origin, groups, removed)
        theirs.close()

    def fork(self, handed: list[int]) -> int:
        """Have it start a process (see `Origin.fork`) that is a child of this one."""
        try:
            socket.send_fds(self._channel, [b"again"], handed)
            return int(self._channel.recv(_MESSAGE))
        except (BrokenPipeError, ConnectionResetError, ValueError):
            raise ProcessLookupError("it cannot be started again: the keeper's steward was killed") from None

    def end(self) -> None:
        """Have it end what stands beside a run that has ended (see `Origin.end`); what was killed has ended that."""
        with contextlib.suppress(OSError):
            self._channel.send(b"end")


def _serve(channel: socket.socket, origin: Origin, groups: list[str], removed: tuple[str, str] | None) -> NoReturn:
    """Serve until the keeper has ended, then clear up and end too."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends with the keeper, which ends the container first
        _close_all_but({0, 1, 2, channel.fileno(), *(descriptor for descriptor, _ in origin.secrets)})
        while (heard := socket.recv_fds(channel, _MESSAGE, _DESCRIPTORS))[0]:
            if not heard[1]:
                origin.end()
                continue
            for descriptor in heard[1]:
                os.set_inheritable(descriptor, False)  # the program gets what it is meant to have, and no other
            child = origin.fork(heard[1], linux.CLONE_PARENT)
            for descriptor in heard[1]:
                os.close(descriptor)
            channel.send(str(child).encode())
        cgroup.remove(groups)
        if removed:
            _remove(*removed)
    finally:
        os._exit(0)


def _close_all_but(kept: set[int]) -> None:
    """Hold nothing that somebody waits to see closed: the lock of the container's folder, the starter's lease."""
    ends = [*sorted(kept), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]
    for low, high in zip(ends, ends[1:]):  # noqa: B905, RUF007 - neighbours; itertools would be one more import
        os.closerange(low + 1, high)


def _remove(path: str, name: str) -> None:
    """Remove a container when nobody reads its end any more (see `EmbeddedContainer`)."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    forget(path, name)
