"""Which files share a layer: big ones alone, small ones in buckets that stay put when one of them changes."""

from __future__ import annotations

from collections.abc import Sequence

from tiffin.build.recipes import SourceFile, Weights
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin

BIG_WHEEL = 4 << 20
"""Bytes from which a wheel has a layer of its own: it is shared, and re-sent, alone."""

BIG_FILE = 64 << 20
"""Bytes from which a weights file has an uncompressed layer of its own: weights hardly compress."""

SMALL_BUCKETS = 4
BYTECODE_BUCKETS = 3
MOST_BIG_WHEELS = 20
"""Big wheels beyond these join the buckets, so that an image stays far under the 125 layers docker's overlay2 loads."""


def group_wheels(wheels: Sequence[WheelPin]) -> list[tuple[WheelPin, ...]]:
    """Share wheels out over layers: the biggest alone, by name, then the buckets of the others."""
    ranked = sorted(wheels, key=lambda wheel: (-(wheel.size or 0), wheel.name))
    alone = sorted((w for w in ranked[:MOST_BIG_WHEELS] if (w.size or 0) >= BIG_WHEEL), key=lambda wheel: wheel.name)
    others = [wheel for wheel in wheels if wheel not in alone]
    return [(wheel,) for wheel in alone] + buckets(others, SMALL_BUCKETS)


def buckets(wheels: Sequence[WheelPin], count: int) -> list[tuple[WheelPin, ...]]:
    """Share wheels out by a hash of their name, so that a new version changes one bucket and no other."""
    shared: dict[int, list[WheelPin]] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        shared.setdefault(int(Digest.of(wheel.name.encode()).hex[:8], 16) % count, []).append(wheel)
    return [tuple(bucket) for _, bucket in sorted(shared.items())]


def group_weights(files: Sequence[SourceFile]) -> list[Weights]:
    """Share weights out over layers: small ones packed together, then each big one alone and not compressed."""
    small = tuple(file for file in files if file.size < BIG_FILE)
    packed = [Weights(files=small, packed=True)] if small else []
    return packed + [Weights(files=(file,), packed=False) for file in files if file.size >= BIG_FILE]
