"""A layout on disk that takes from another place what it lacks, when it is read.

A lock says which layers come of a project, and a registry may have them: a machine that never saw them need not make
them to build on them, nor fetch what nobody reads. To push an image back into that repository moves what is new alone.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import BinaryIO

from tiffin.errors import NotFoundError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.oci.store import Store
from tiffin.progress import note, step
from tiffin.store.layout import LayoutStore


class Behind:
    """The place behind a layout; one that cannot be asked has nothing, and is asked no more."""

    def __init__(self, name: str, store: Store) -> None:
        """Look into `store`, which people know by `name`."""
        self.name = name
        self.store = store
        self._seen: set[Digest] = set()
        self._silent = False
        self._telling = threading.Lock()

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content is there; what was seen once is not asked for again."""
        if descriptor.digest in self._seen:
            return True
        if self._silent:
            return False
        try:
            found = self.store.exists(descriptor)
        except TiffinError as error:
            self._give_up(error)
            return False
        if found:
            self._seen.add(descriptor.digest)
        return found

    def _give_up(self, error: TiffinError) -> None:
        with self._telling:
            if not self._silent:
                self._silent = True
                note(f"no layers are taken from {self.name}: {error.message}")


class LazyStore(LayoutStore):
    """A layout before another place: what lies there counts as here, and comes when it is read."""

    def __init__(self, root: Path, behind: Behind, *, pruned: bool = False) -> None:
        """Open the layout at `root` before `behind`."""
        super().__init__(root, pruned=pruned)
        self.behind = behind

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content is here or behind; who asks relies on the answer."""
        return self.holds(descriptor) or self.behind.exists(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading, having fetched it where it is not here; raises NotFoundError."""
        try:
            return super().open(descriptor)
        except NotFoundError:
            if not self.behind.exists(descriptor):
                raise
        with (
            step("pull", descriptor.digest.short, total=descriptor.size, unit="bytes"),
            self.behind.store.open(descriptor) as stream,
        ):
            self.put(descriptor, stream)
        return super().open(descriptor)
