"""Where tiffin keeps its state on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.machine.folders import folders
from tiffin.durable import sweep
from tiffin.store.layout import LayoutStore
from tiffin.store.records import Records

if TYPE_CHECKING:
    from tiffin.pipeline.keeping.content import Contents
    from tiffin.pipeline.keeping.kept import KeptResults
    from tiffin.store.remote.bookmarks import Bookmarks
    from tiffin.store.remote.turns import Turns
    from tiffin.store.remote.whereabouts import Whereabouts


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The two folders of a user: `data` holds images and containers, `cache` may be deleted at any time."""

    data: Path
    cache: Path

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """Find the folders (see `folders`)."""
        data, cache = folders(environment)
        return cls(data=Path(data), cache=Path(cache))

    @property
    def store(self) -> LayoutStore:
        """The images."""
        return LayoutStore(self.data, pruned=True)

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

        return KeptResults(self.store, self.contents)

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
