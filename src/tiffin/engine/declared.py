"""What an image declares that it needs of the machine: data that must be mounted, a GPU. Pure.

Labels carry it, so that whoever has the image alone knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec

from tiffin.errors import ConfigError

DATA = "dev.tiffin.data"
"""The label that lists what must be mounted, as JSON: `[{"name":"features","path":"/data"}]`."""
GPU = "dev.tiffin.gpu"
"""The label that says whether the model needs a GPU: `required`, `optional` or `none`."""
DRIVER = "dev.tiffin.cuda.driver"
"""The label that says which drivers run the image's CUDA: `>=525.60.13`."""


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file or folder that the container must find at `path`; it writes there only where `write` says so."""

    name: str
    path: str
    write: bool = False


class GpuNeed(Enum):
    """Whether a model needs a GPU; UNSAID is an image that says nothing."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"
    UNSAID = ""


def labels(data: Iterable[Data], gpu: str) -> dict[str, str]:
    """Write what an image declares as labels; what declares nothing has none."""
    declared = list(data)
    found = {DATA: msgspec.json.encode(declared).decode()} if declared else {}
    return found | ({GPU: gpu} if gpu else {})


def declared_data(said: Mapping[str, str]) -> list[Data]:
    """Read the label that lists data; raises ConfigError for one that nobody can read."""
    text = said.get(DATA, "")
    try:
        return msgspec.json.decode(text, type=list[Data]) if text else []
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the image's label {DATA} is not to be read: {error}", "build the image again") from error


def declared_gpu(said: Mapping[str, str]) -> GpuNeed:
    """Read the label that says whether the model needs a GPU; raises ConfigError for any other word."""
    text = said.get(GPU, "")
    try:
        return GpuNeed(text)
    except ValueError:
        raise ConfigError(f"the image's label {GPU} is {text!r}", "it is required, optional or none") from None
