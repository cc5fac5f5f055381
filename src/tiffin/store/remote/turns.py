"""Whose turn it is: among the processes of one machine, one at a time changes what a repository has but one of.

That is the tag that lists referrers. Others elsewhere are not kept from it, so whoever has the turn looks again all the
same; but two of this machine need not drop each other's entries first.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiffin.oci.digest import Digest
from tiffin.store.remote.address import Address


class Turns:
    """A folder of locks, one a repository; the kernel frees them when their process ends."""

    def __init__(self, folder: Path) -> None:
        """Keep them in this folder, which comes into being with the first."""
        self._folder = folder

    @contextmanager
    def of(self, address: Address) -> Iterator[None]:
        """Have the turn for a repository while the block runs; at once where no lock can be kept."""
        path = self._folder / Digest.of(f"{address.host}/{address.repository}".encode()).hex
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # nobody may write there, so nobody else of this machine waits either
            yield
            return
        with os.fdopen(descriptor, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
