"""What changed between two images, in the words of a model's owner: packages, weights, code, settings. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tiffin.build.carried import LOCK, PROJECT
from tiffin.build.contents import ImageContents, Placed, tree
from tiffin.build.plan import SERVICE
from tiffin.build.sbom import CYCLONEDX, SPDX
from tiffin.layers.listing import DEB, WHEEL, Package
from tiffin.oci.digest import Digest
from tiffin.oci.documents import RunConfig

PYTHON = re.compile(r"usr/(?:local/)?bin/python(3\.\d+)")
PACKAGES = {WHEEL: "package", DEB: "debian"}
"""Kind of package -> what a change of one is called."""

DOCUMENTS = {SERVICE, PROJECT, LOCK, CYCLONEDX, SPDX}
"""What an image says of itself: a change of these is told by what they speak of."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is different; what is empty `before` was added, what is empty `after` was removed.

    `what` is python, package, debian, weights, code, service, start or file; files are told by the first twelve digits
    of their content's sha256.
    """

    what: str
    name: str
    before: str
    after: str


class MovedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the second image: whether the first has it too, and its size in bytes as it would be pushed."""

    layer: str
    size: int
    shared: bool
    digest: Digest


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The second image beside the first; sizes are in bytes."""

    before: Digest
    after: Digest
    layers: list[MovedLayer]
    moves: int
    """What a push of the second image to where the first is moves."""
    grows: int
    """How much bigger the second image is than the first, as pushed."""
    changes: list[Change]
    other_files: int
    """Files that differ and belong to none of the changes."""


def diff(before: ImageContents, after: ImageContents) -> Difference:
    """Say how the second image differs from the first."""
    there = {layer.descriptor.digest for layer in before.layers}
    layers = [
        MovedLayer(
            layer=layer.title,
            size=layer.descriptor.size,
            shared=layer.descriptor.digest in there,
            digest=layer.descriptor.digest,
        )
        for layer in after.layers
    ]
    moved = {layer.digest: layer.size for layer in layers if not layer.shared}
    trees = tree(before.layers), tree(after.layers)
    files, others = _files(before, after, *trees)
    return Difference(
        before=before.digest,
        after=after.digest,
        layers=layers,
        moves=sum(moved.values()) + (after.documents if before.digest != after.digest else 0),
        grows=_size(after) - _size(before),
        changes=[
            *_compared("python", *({name: name for name in _pythons(seen)} for seen in trees)),
            *_packages(*trees),
            *files,
            *_compared("service", *(dict(_flat(_service(image))) for image in (before, after))),
            *_compared("start", *(_start(image.config.config) for image in (before, after))),
        ],
        other_files=others,
    )


def _size(image: ImageContents) -> int:
    return image.documents + sum(layer.descriptor.size for layer in image.layers)


def _compared(what: str, before: dict[str, str], after: dict[str, str]) -> list[Change]:
    """Compare two tables."""
    return [
        Change(what=what, name=name, before=before.get(name, ""), after=after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "") != after.get(name, "")
    ]


def _pythons(seen: dict[str, Placed]) -> set[str]:
    return {found[1] for path in seen if (found := PYTHON.fullmatch(path))}


def _packages(old: dict[str, Placed], new: dict[str, Placed]) -> Iterator[Change]:
    owners = [{placed.owner for placed in seen.values() if placed.owner} for seen in (old, new)]
    for kind, what in PACKAGES.items():
        yield from _compared(what, *(_versions(owned, kind) for owned in owners))


def _versions(owners: set[Package], kind: str) -> dict[str, str]:
    """Name -> version; one that is there in several, such as the server's own beside the user's, has all of them."""
    found: dict[str, list[str]] = {}
    for package in sorted(owners):
        if package.kind == kind:
            found.setdefault(package.name, []).append(package.version)
    return {name: ", ".join(versions) for name, versions in found.items()}


def _files(
    before: ImageContents, after: ImageContents, old: dict[str, Placed], new: dict[str, Placed]
) -> tuple[list[Change], int]:
    """Tell weights and code apart from files that no package explains."""
    changes, others = [], 0
    code = {"app", before.config.config.working_dir.strip("/"), after.config.config.working_dir.strip("/")} - {""}
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path), new.get(path)
        if path in DOCUMENTS or _content(was) == _content(now):
            continue
        what = (
            "weights" if path.startswith("models/") else "code" if path.startswith(tuple(f"{c}/" for c in code)) else ""
        )
        if what:
            changes.append(Change(what=what, name=path, before=_content(was)[:12], after=_content(now)[:12]))
        elif not (was and was.owner) and not (now and now.owner):
            others += 1
    return changes, others


def _content(placed: Placed | None) -> str:
    if placed is None:
        return ""
    return placed.file.digest or f"-> {placed.file.link}"


def _service(image: ImageContents) -> Any:
    texts = [layer.listing.texts[SERVICE] for layer in image.layers if SERVICE in layer.listing.texts]
    try:
        return json.loads(texts[-1]) if texts else {}
    except ValueError:
        return {}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a document by the path that leads to it."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _flat(below, f"{name}.{key}" if name else key)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _start(run: RunConfig) -> dict[str, str]:
    """How a container starts, by the names that a Dockerfile has for it."""
    env = {f"ENV {key}": value for key, _, value in (line.partition("=") for line in run.env)}
    labels = {f"LABEL {key}": value for key, value in run.labels.items()}
    told = {
        "USER": run.user,
        "ENTRYPOINT": json.dumps(run.entrypoint) if run.entrypoint else "",
        "CMD": json.dumps(run.cmd) if run.cmd else "",
        "WORKDIR": run.working_dir,
        "STOPSIGNAL": run.stop_signal,
        "EXPOSE": ", ".join(sorted(run.exposed_ports)),
    }
    return env | labels | told
