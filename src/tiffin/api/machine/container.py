"""The pipeline image that this process is in a container of, where it is: what the image says of itself."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode

DOCUMENT = Path("/opt/tiffin/pipeline.json")
"""Where a pipeline image says what it is."""
LIBRARIES = DOCUMENT.with_name("libraries")
"""Where it says what its layers hold for the dynamic linker, so that what is built on them is proven unread."""


class PipelineImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline image says of itself: the environment image that it stands on, and the language's digest.

    `layers` are the environment's, by the digests of what they unpack to. `variables` are those that it sets: whatever
    else a container is given is no step's.
    """

    schema: int = 1
    environment: Digest
    language: Digest
    layers: tuple[Digest, ...] = ()
    variables: dict[str, str]


def this_container(document: Path = DOCUMENT) -> PipelineImage | None:
    """Read what the image says that this container is of; None where it is of no pipeline image, or none at all."""
    try:
        return decode(PipelineImage, document.read_bytes(), str(document))
    except FileNotFoundError:
        return None
