"""A trained model, as a value: which files, in which format, and what they need to load."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model found on disk, or the user's own class.

    `needs` are names of Python distributions; `trained_with` maps those whose version the file tells to that version.
    """

    format: str
    path: Path | None = None
    predictor: str = ""
    needs: tuple[str, ...] = ()
    trained_with: dict[str, str] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """The weights, sorted; empty for a class that brings its own."""
        if self.path is None:
            return ()
        if self.path.is_file():
            return (self.path,)
        return tuple(sorted(path for path in self.path.rglob("*") if path.is_file()))
