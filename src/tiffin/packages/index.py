"""The seam that every source of packages fits: PyPI through uv, an offline folder of wheels, Debian."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from tiffin.progress import parallel

DOWNLOADS = 8
"""Files fetched at a time."""

Wanted_contra = TypeVar("Wanted_contra", contravariant=True)
Pin = TypeVar("Pin")
Pin_contra = TypeVar("Pin_contra", contravariant=True)


class PackageIndex(Protocol[Wanted_contra, Pin]):
    """A place with packages: what is wanted becomes pins, and a pin becomes a file."""

    def resolve(self, requirements: Wanted_contra) -> list[Pin]:
        """Return exactly which files the requirements come to, ordered by name; raises what cannot be met."""
        ...

    def fetch(self, pin: Pin) -> Path:
        """Return a file with exactly the pinned bytes; threads may call this at the same time."""
        ...


@runtime_checkable
class Locates(Protocol[Pin_contra]):
    """An index that finds many files with one question, where `fetch` alone would ask for each."""

    def locate(self, pins: Sequence[Pin_contra]) -> None:
        """Find out where those of the pins are that are not at hand yet."""
        ...


def fetch_all(index: PackageIndex[Wanted_contra, Pin], pins: Sequence[Pin]) -> list[Path]:
    """Fetch every pin, several at a time; the files come in the order of the pins."""
    if isinstance(index, Locates):
        index.locate(pins)
    return parallel(index.fetch, pins, workers=DOWNLOADS)
