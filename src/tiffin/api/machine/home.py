"""Where tiffin keeps its state on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.machine.folders import folders
from tiffin.durable import sweep
from tiffin.errors import ConfigError
from tiffin.store.layout import LayoutStore
from tiffin.store.records import Records

if TYPE_CHECKING:
    from tiffin.pipeline.keeping.content import Contents
    from tiffin.pipeline.keeping.kept import KeptResults
    from tiffin.store.lazy import Behind
    from tiffin.store.remote.bookmarks import Bookmarks
    from tiffin.store.remote.turns import Turns
    from tiffin.store.remote.whereabouts import Whereabouts


LAZY = "TIFFIN_LAZY_FROM"
"""The variable that names the repository whose layers count as here."""


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The two folders of a user: `data` holds images and containers, `cache` may be deleted at any time.

    What `data` lacks of layers is taken from the repository `lazy_from`, where one is named, once it is read.
    """

    data: Path
    cache: Path
    lazy_from: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """Find the folders (see `folders`), and what is behind them."""
        data, cache = folders(environment)
        return cls(data=Path(data), cache=Path(cache), lazy_from=environment.get(LAZY, ""))

    @property
    def store(self) -> LayoutStore:
        """The images."""
        if not self.lazy_from:
            return LayoutStore(self.data, pruned=True)
        from tiffin.store.lazy import LazyStore

        return LazyStore(self.data, _behind(self.lazy_from), pruned=True)

    def records(self, name: str) -> Records:
        """A folder of remembered results."""
        return Records(self.cache / "records" / name)

    @property
    def contents(self) -> Contents:
        """The digests of files that pipelines read."""
        from tiffin.pipeline.keeping.content import Contents

        return Contents(self.records("contents"))

    @property
    def results(self) -> KeptResults:
        """What steps of pipelines gave."""
        from tiffin.pipeline.keeping.kept import KeptResults

        return KeptResults(LayoutStore(self.data, pruned=True), self.contents)

    @property
    def pipelines(self) -> Path:
        """The folders with the runs of each pipeline."""
        return self.data / "pipelines"

    @property
    def whereabouts(self) -> Whereabouts:
        """Which repositories have which blobs, as far as is known."""
        from tiffin.store.remote.whereabouts import Whereabouts

        return Whereabouts(self.records("whereabouts"))

    @property
    def bookmarks(self) -> Bookmarks:
        """How far uploads are that were not brought to their end."""
        from tiffin.store.remote.bookmarks import Bookmarks

        return Bookmarks(self.cache / "uploads")

    @property
    def turns(self) -> Turns:
        """Whose turn it is to change a repository's list of referrers."""
        from tiffin.store.remote.turns import Turns

        return Turns(self.cache / "turns")

    def sweep(self) -> None:
        """Delete what builds that died left half-written."""
        self.store.sweep()
        for folder in (self.cache / "records").glob("*/"):
            Records(folder).sweep()
        sweep(self.cache / "converted" / "tmp")


@cache
def _behind(repository: str) -> Behind:
    """Open a repository to read from; whoever can do without is not kept waiting by one that does not answer."""
    from tiffin.network import Patience
    from tiffin.oci.reference import Reference
    from tiffin.store.lazy import Behind
    from tiffin.store.remote.store import RemoteStore

    reference = Reference.parse(repository)
    if not reference.registry:
        raise ConfigError(f"{LAZY}: {repository!r} names no registry", "write REGISTRY/NAME")
    return Behind(reference.name, RemoteStore.of(reference, patience=Patience(attempts=2, unreachable=1)))
