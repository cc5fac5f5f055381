"""The header of a safetensors file, held against its own rules before anything relies on it.

https://huggingface.co/docs/safetensors: eight bytes of length, a JSON object, and the tensors' bytes without holes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

from tiffin.errors import IntegrityError

_LARGEST_HEADER = 100_000_000
_BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F64": 64, "I64": 64, "U64": 64, "C64": 64}
_BITS |= dict.fromkeys(("U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8)
_BITS |= dict.fromkeys(("I16", "U16", "F16", "BF16"), 16) | dict.fromkeys(("I32", "U32", "F32"), 32)
_METADATA = "__metadata__"


def check_safetensors(path: Path) -> None:
    """Raise IntegrityError, naming the tensor, for a file whose header lies about what is in it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEADER):  # noqa: PLR2004 - the bytes of the length
            raise IntegrityError(f"{path}: a header of {length} bytes in a file of {size}", _ANEW)
        header = _header(file.read(length), path)
    end = 0
    for name, begin, after in sorted(_extents(header, path), key=lambda extent: extent[1:]):
        if begin != end:
            raise IntegrityError(f"{path}: the tensor {name[:100]!r} begins at byte {begin} instead of {end}", _ANEW)
        end = after
    if end != size - 8 - length:
        raise IntegrityError(f"{path}: its tensors end at byte {end}, but there are {size - 8 - length}", _ANEW)


_ANEW = "get the file anew, or save the model again"


def _header(data: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: its header is no JSON, or says something twice: {error}", _ANEW) from error
    if not isinstance(header, dict) or not data.startswith(b"{"):
        raise IntegrityError(f"{path}: its header is no JSON object", _ANEW)
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:100]!r} twice")
    return found


def _extents(header: dict[str, Any], path: Path) -> list[tuple[str, int, int]]:
    found = []
    for name, told in header.items():
        if name == _METADATA:
            continue
        extent = _extent(told)
        if extent is None:
            raise IntegrityError(f"{path}: the tensor {name[:100]!r} is not of the size that its shape comes to", _ANEW)
        found.append((name, *extent))
    return found


def _extent(told: Any) -> tuple[int, int] | None:
    """Where a tensor's bytes are; None where type, shape and place do not go together."""
    if not isinstance(told, dict):
        return None
    shape, place, bits = told.get("shape"), told.get("data_offsets"), _BITS.get(str(told.get("dtype")), 0)
    if not (_are_sizes(shape) and _are_sizes(place) and len(place) == 2 and bits):  # noqa: PLR2004 - begin and end
        return None
    begin, end = place
    return (begin, end) if (end - begin) * 8 == math.prod(shape) * bits else None


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < 1 << 48 for one in value)
