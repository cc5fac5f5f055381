"""Which members of a torch.export archive are pickles, whatever they are called: its own index says so.

torch/export/pt2_archive/_package.py and constants.py: `data/weights/NAME_weights_config.json` and the same of constants
name the file of each tensor, and `use_pickle` has `torch.load` read it; objects of other kinds are pickled always.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import BinaryIO

from tiffin.models.archives import DOCUMENT_LIMIT, json_object
from tiffin.models.pickle_opcodes import BrokenPickleError

_INDEX = ("_weights_config.json", "_constants_config.json")
_TENSORS = ("weight_", "tensor_")


def payloads(members: Mapping[str, Callable[[], BinaryIO]]) -> frozenset[str]:
    """Name the members that an index says are pickled; raises BrokenPickleError for an index that cannot be followed.

    Torch finds members without regard to case (miniz, `mz_zip_reader_locate_file`).
    """
    folded: dict[str, list[str]] = {}
    for name in members:
        folded.setdefault(name.lower(), []).append(name)
    found: set[str] = set()
    for name, opened in members.items():
        if name.lower().endswith(_INDEX):
            with opened() as member:
                index = json_object(member.read(DOCUMENT_LIMIT + 1))
            for payload in _pickled(name, index):
                if payload.lower() not in folded:
                    raise BrokenPickleError(f"{name[:100]} speaks of {payload[:100]}, which is not there")
                found.update(folded[payload.lower()])
    return frozenset(found)


def _pickled(name: str, index: dict[str, object] | None) -> list[str]:
    payload = (index or {}).get("config")
    if not isinstance(payload, dict) or not all(isinstance(entry, dict) for entry in payload.values()):
        raise BrokenPickleError(f"{name[:100]} is no index of tensors")
    folder = posixpath.dirname(name)
    return [f"{folder}/{entry.get('path_name')}" for entry in payload.values() if _is_pickled(entry)]


def _is_pickled(entry: dict[str, object]) -> bool:
    """Objects that are no tensors are always pickled; tensors where the index says so."""
    return bool(entry.get("use_pickle")) or not str(entry.get("path_name")).startswith(_TENSORS)
