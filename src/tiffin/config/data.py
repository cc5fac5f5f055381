"""What `[[data]]` may say beyond its types: names and places that a mount can have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from tiffin.config.project import DataSection

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_KERNELS = {"proc", "sys", "dev"}
_OWN = ("/app", "/models", "/opt/tiffin", "/opt/venv", "/opt/python", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64")
"""What a mount would take from the image: the user's code, the model, the server, packages, the system."""


def data_mistakes(declared: Sequence[DataSection]) -> Iterator[str]:
    """Say what is wrong with the places of data, each with its own place in the file."""
    for number, data in enumerate(declared):
        place = f"at `$.data[{number}]"
        before = declared[:number]
        if not _NAME.fullmatch(data.name):
            yield f"`name` takes lower-case letters, digits and . _ - - {place}.name`"
        if data.name in {other.name for other in before}:
            yield f"the name {data.name!r} is there twice - {place}.name`"
        if fault := _fault(data.path):
            yield f"`path` {data.path!r} {fault} - {place}.path`"
        elif nested := next((other.path for other in before if _meet(data.path, other.path)), ""):
            yield f"`path` {data.path!r} and {nested!r} lie in each other - {place}.path`"


def _fault(path: str) -> str:
    pure = PurePosixPath(path)
    if str(pure) != path or not pure.is_absolute() or ".." in pure.parts or path.startswith("//"):
        return "is not an absolute path in its shortest form"
    if any(PurePosixPath(own).is_relative_to(path) for own in _OWN):
        return "would hide what is in the image"
    if pure.parts[1] in _KERNELS:
        return "is the kernel's"
    return ""


def _meet(one: str, other: str) -> bool:
    """Whether one of the paths is the other or lies in it."""
    return PurePosixPath(one).is_relative_to(other) or PurePosixPath(other).is_relative_to(one)
