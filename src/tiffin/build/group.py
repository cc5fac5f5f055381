"""Which files share a layer: big ones alone, small ones in buckets that stay put when one of them changes.

There is one budget, `[image] layers`, for everything with the base. Weights come first: a layer for each big file, so
that a retrain moves what it changed. Then as many of the biggest wheels lie alone as there is room for, at most
`MOST_BIG_WHEELS`; the others share `SMALL_BUCKETS` buckets. What does not fit then is refused with the fix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiffin.build.recipes import AnyRecipe, SourceFile, Weights
from tiffin.config.project import MOST_LAYERS
from tiffin.errors import ConfigError
from tiffin.layers.overlap import Overlap
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin

BIG_WHEEL = 4 << 20
"""Bytes from which a wheel has a layer of its own: it is shared, and re-sent, alone."""

BIG_FILE = 64 << 20
"""Bytes from which a weights file has an uncompressed layer of its own: weights hardly compress."""

GIGABYTE = 1_000_000_000

SMALL_BUCKETS = 4
BYTECODE_BUCKETS = 3
MOST_BIG_WHEELS = 20
"""Big wheels beyond these join the buckets."""


def group_wheels(wheels: Sequence[WheelPin], room: int = MOST_LAYERS) -> list[tuple[WheelPin, ...]]:
    """Share wheels out over `room` layers, or the buckets alone where that is fewer: the biggest alone, by name."""
    most = min(MOST_BIG_WHEELS, max(room - SMALL_BUCKETS, 0))
    ranked = sorted(wheels, key=lambda wheel: (-(wheel.size or 0), wheel.name))
    alone = sorted((w for w in ranked[:most] if (w.size or 0) >= BIG_WHEEL), key=lambda wheel: wheel.name)
    return [(wheel,) for wheel in alone] + buckets(set(wheels) - set(alone), SMALL_BUCKETS)


def buckets(wheels: Iterable[WheelPin], count: int) -> list[tuple[WheelPin, ...]]:
    """Share wheels out by a hash of their name, so that a new version changes one bucket and no other."""
    shared: dict[int, list[WheelPin]] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        shared.setdefault(int(Digest.of(wheel.name.encode()).hex[:8], 16) % count, []).append(wheel)
    return [tuple(bucket) for _, bucket in sorted(shared.items())]


def yields_to(
    group: Sequence[WheelPin], wheels: Sequence[WheelPin], overlaps: Sequence[Overlap]
) -> tuple[WheelPin, ...]:
    """Find the wheels outside of a group that provide paths which a wheel of the group brings too, by name."""
    own = {wheel.name for wheel in group}
    winners = {overlap.winner for overlap in overlaps if own.intersection(overlap.wheels)} - own
    return tuple(sorted((wheel for wheel in wheels if wheel.name in winners), key=lambda wheel: wheel.name))


def group_weights(files: Sequence[SourceFile]) -> list[Weights]:
    """Share weights out over layers: small ones packed together, then each big one alone and not compressed."""
    small = tuple(file for file in files if file.size < BIG_FILE)
    packed = [Weights(files=small, packed=True)] if small else []
    return packed + [Weights(files=(file,), packed=False) for file in files if file.size >= BIG_FILE]


def refuse_beyond(budget: int, recipes: Sequence[AnyRecipe]) -> None:
    """Refuse more layers than the budget has, with what to write instead; raises ConfigError."""
    over = len(recipes) - budget
    if over <= 0:
        return
    weights = [recipe for recipe in recipes if isinstance(recipe, Weights)]
    fixes = _fewer(weights, len(weights) - over)
    if len(recipes) <= MOST_LAYERS:
        fixes.append(f"write `layers = {len(recipes)}` under [image]")
    raise ConfigError(
        f"the image would have {len(recipes)} layers, and its budget is {budget} - at `$.image.layers`: "
        f"{len(weights)} of them are weights, of which every file from {BIG_FILE >> 20} MiB has its own",
        ", or ".join(fixes) or f"no image may have more than {MOST_LAYERS} layers",
    )


def _fewer(weights: Sequence[Weights], count: int) -> list[str]:
    """Say how to save weights so that they make at most `count` layers, where that is possible."""
    big = [recipe.files[0].size for recipe in weights if not recipe.packed]
    count -= len(weights) - len(big)
    if count < 1:
        return []
    each = -(-sum(big) // (count * GIGABYTE)) + 1
    return [f'save the model in at most {count} big files: transformers does it by `max_shard_size="{each}GB"`']
