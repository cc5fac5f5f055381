"""The processes and files of a container of docker or podman that runs on this machine, where we may look at them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def process_of(identity: str, pid: int) -> Iterator[int | None]:
    """A descriptor of /proc/PID of a container's first process; None where that is another machine's or not ours.

    The kernel knows by its control group whose process it is, so that the number of a machine elsewhere, or of a
    process that has ended, never means another one here.
    """
    try:
        process = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield process if _is_of(process, identity) else None
    finally:
        os.close(process)


def _is_of(process: int, identity: str) -> bool:
    try:
        os.close(os.open("root", os.O_PATH | os.O_CLOEXEC, dir_fd=process))
        with os.fdopen(os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)) as groups:
            return identity in groups.read()
    except OSError:
        return False
