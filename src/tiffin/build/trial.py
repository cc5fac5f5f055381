"""Hold the start-up proof: read what the layers hold for the dynamic linker, have it judged, and say what came out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tiffin.build.plan import PYTHON, BuildPlan
from tiffin.build.proof import Subject, judge
from tiffin.build.prove import Archive, Part, libraries_key
from tiffin.build.recipes import Base, Code, Server, Wheels
from tiffin.build.refusal import notes, refusal
from tiffin.layers.libraries import Libraries, read_libraries
from tiffin.progress import note, parallel

_OWN = (Wheels, Server, Code)
"""Layers whose files are judged: Debian has judged the others."""


def hold(plan: BuildPlan, parts: Sequence[Part], archive: Archive, allowed: Collection[str]) -> bool:
    """Judge these layers of an image; says whether that could be done, and raises ConfigError for a bad end."""
    layers = [found for found in parallel(lambda part: _libraries(part, archive), parts) if found]
    if len(layers) < len(parts):
        return False
    verdict = judge(
        Subject(
            python=plan.run.labels[PYTHON],
            platform=plan.platform,
            wheels=tuple(
                wheel for part in parts if isinstance(part.recipe, Wheels | Server) for wheel in part.recipe.wheels
            ),
            layers=tuple(layers),
            own=tuple(isinstance(part.recipe, _OWN) for part in parts),
            search=tuple(_search(plan.run.env)),
        )
    )
    suite = next((part.recipe.suite for part in parts if isinstance(part.recipe, Base)), "")
    if refused := refusal(verdict, suite, allowed):
        raise refused
    for text in notes(verdict, allowed):
        note(text)
    return True


def _libraries(part: Part, archive: Archive) -> Libraries | None:
    """What a layer holds for the linker; None, and a word, for one that is neither remembered nor here."""
    key = libraries_key(part.diff_id)
    known = archive.libraries.get(key, Libraries)
    if known is not None:
        return known
    if not archive.store.exists(part.blob):
        note(f"the layer {part.recipe.title} is not on this machine, so what the image needs to start is not checked")
        return None
    with archive.store.open(part.blob) as blob:
        found = read_libraries(blob, part.blob.media_type, part.diff_id)
    archive.libraries.put(key, found)
    return found


def _search(environment: Sequence[str]) -> list[str]:
    """The folders of an image's LD_LIBRARY_PATH."""
    said = dict(line.partition("=")[::2] for line in environment)
    return [folder for folder in said.get("LD_LIBRARY_PATH", "").split(":") if folder]
