"""A trained model, as a value: which files, in which format, and what they need to load."""

from __future__ import annotations

from pathlib import Path

import msgspec

_OURS = {"tiffin.toml", "pylock.tiffin.toml"}
_NEVER = {"__pycache__"}


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model found on disk, or the user's own class.

    `path` is what its loader is given and `source` what the user names, where that is another: MLflow's folder around
    a file. `beside` are files in the same folder, or below, that belong to it. `needs` are names of Python
    distributions, `trained_with` maps those whose version the file tells to that version, `requirements` are the lines
    that a model brings by itself, and `packages` are Debian's.
    """

    format: str
    path: Path | None = None
    source: Path | None = None
    beside: tuple[Path, ...] = ()
    predictor: str = ""
    needs: tuple[str, ...] = ()
    trained_with: dict[str, str] = {}
    requirements: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def named(self) -> Path | None:
        """What `[model] path` says."""
        return self.source or self.path

    @property
    def files(self) -> tuple[Path, ...]:
        """The weights, sorted; empty for a class that brings its own."""
        if self.path is None:
            return ()
        if self.path.is_file():
            return (self.path, *self.beside)
        return tuple(sorted(path for path in self.path.rglob("*") if path.is_file() and self._is_weight(path)))

    def _is_weight(self, path: Path) -> bool:
        """A model's folder may be the project's as well: what is hidden or Tiffin's own is no part of the model."""
        parts = path.relative_to(self.path or path).parts
        return not (parts[0] in _OURS or any(part.startswith(".") or part in _NEVER for part in parts))
