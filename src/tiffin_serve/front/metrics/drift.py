"""Drift."""

from __future__ import annotations

from collections.abc import Iterator

from tiffin_serve.front.metrics.exposition import Family, Labels


class Drift:
    """Nothing yet."""

    def families(self, labels: Labels) -> Iterator[Family]:
        """Give nothing."""
        del labels
        yield from ()

    def document(self) -> dict[str, object]:
        """Give nothing."""
        return {}
