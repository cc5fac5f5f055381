"""What is known of wheels that bring the same paths: the lock's word, or what one look at the wheels has shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.layers.overlap import Overlap
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.lock import Lock
from tiffin.packages.pins import WheelPin
from tiffin.progress import note, step
from tiffin.store.records import Records

if TYPE_CHECKING:
    from tiffin.packages.pypi.uv_index import UvIndex

LOOK = 1
"""Raised whenever a look at the same wheels would show something else."""

Fetch = Callable[[Sequence[WheelPin]], list[Path]]
"""Brings wheels, in order; nothing (`[]`) where some are out of reach."""


def with_overlaps(lock: Lock, records: Records, fetch: Fetch) -> Lock:
    """Complete a lock with the overlaps of its wheels, looking only where nobody has yet; warns of files that are lost.

    Where `fetch` does not bring the wheels the lock stays as it is: nothing can be made of them either.
    """
    if lock.overlaps is None:
        key = Digest.of(encode(["overlaps", LOOK, [wheel.sha256 for wheel in lock.wheels]]))
        found = records.get(key, tuple[Overlap, ...])
        if found is None and (found := _looked(lock.wheels, fetch)) is not None:
            records.put(key, found)
        lock = msgspec.structs.replace(lock, overlaps=found)
    for overlap in lock.overlaps or ():
        if warning := overlap.warning():
            note(warning)
    return lock


def kept_wheels(index: Callable[[], UvIndex], pins: Sequence[WheelPin]) -> list[Path]:
    """Bring wheels out of the cache, all of them or none."""
    kept = index().kept
    found = [path for pin in pins if (path := kept(pin))]
    return found if len(found) == len(pins) else []


def _looked(wheels: Sequence[WheelPin], fetch: Fetch) -> tuple[Overlap, ...] | None:
    if not wheels:
        return ()
    from tiffin.layers.wheel import WheelSource
    from tiffin.layers.wheel_layers import overlaps

    if not (paths := fetch(wheels)):
        return None
    with step("compare", f"the files of {len(wheels)} wheels"):
        return overlaps(
            [
                WheelSource(path=path, name=wheel.name, version=wheel.version)
                for wheel, path in zip(wheels, paths, strict=True)
            ]
        )
