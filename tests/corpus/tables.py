"""Every table of the corpus: what is hostile, by who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from corpus import archives, cuts, layers, models, packages, pickles
from corpus.case import Case

TABLES: dict[str, Callable[[], Iterator[Case]]] = {
    "wheels": packages.wheels,
    "debs": packages.debs,
    "layers": layers.cases,
    "images": archives.cases,
    "models": models.cases,
    "pickles": pickles.cases,
    "cuts": cuts.cases,
}
