"""What `[image] base` may say: Debian's packages, an image of a registry, or one that lies in files here."""

from __future__ import annotations

import msgspec

DEBIAN = "debian"
REGISTRY = "docker"
LAYOUT = "oci"
ARCHIVES = ("oci-archive", "docker-archive")


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of base, in the words of containers-transports(5), and which one: a suite, a reference, a path."""

    kind: str
    where: str


def parse_base(text: str) -> Base:
    """Read a base: `debian:SUITE`, `oci:FOLDER`, `oci-archive:FILE`, `docker-archive:FILE`; else it is a reference."""
    kind, colon, rest = text.partition(":")
    if colon and kind in {DEBIAN, LAYOUT, *ARCHIVES} and rest:
        return Base(kind=kind, where=rest)
    return Base(kind=REGISTRY, where=text)


def split_name(where: str) -> tuple[str, str]:
    """Split `PATH[:NAME]` of a folder or a file, at the first colon as skopeo does."""
    path, _, name = where.partition(":")
    return path, name
