"""A network namespace of our own, in which programs may make bridges and publish ports without anybody noticing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_HOLDER = "busybox ip link set lo up && echo up && exec busybox cat"


@contextmanager
def own_network() -> Iterator[tuple[str, ...]]:
    """Give what goes before a command that is to run in it; it ends with the block. Needs root."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"up\n"
        yield ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--")
