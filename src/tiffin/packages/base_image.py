"""What an image stands on where Debian's own packages do not do: a base image, or an interpreter built elsewhere."""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor


class BaseLayer(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A layer of a base image, taken as it is; sizes are in bytes, of the blob and of what it unpacks to."""

    media_type: str
    digest: Digest
    diff_id: Digest
    size: int
    unpacked_size: int

    @property
    def descriptor(self) -> Descriptor:
        """Where its blob is."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)


class BaseImage(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A base image of one platform, by its manifest's digest, and what was found in it.

    `program` is its interpreter and `library` that one's standard library, all links followed; `links` are folders of
    ours that are links in the base, with where they lead; `env` is what it sets.
    """

    digest: Digest
    layers: tuple[BaseLayer, ...]
    program: str
    library: str
    glibc: tuple[int, int]
    env: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


class PythonBuild(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """An archive with an interpreter that is complete in one folder, such as python-build-standalone's."""

    filename: str
    sha256: Digest
    size: int

    def __str__(self) -> str:
        return self.filename
