"""PyTorch: TorchScript, exported programs, and files that hold weights only; no pickle in them is ever opened.

A file of `torch.jit.save` is a zip with the program in `code/`; one of `torch.export.save` names its graph in
`models/*.json`; what `torch.save` and safetensors write has no program at all.
"""

from __future__ import annotations

from pathlib import Path

from tiffin.errors import UnsupportedError
from tiffin.models.archives import member_names
from tiffin.models.formats.format import Format
from tiffin.models.model import Model

NEEDS = ("numpy", "torch")
_CLASS = (
    'write a class that makes the module and loads them: `[model] predictor = "predict:Predictor"` beside `path`; '
    "examples/safetensors shows one"
)
_PICKLED_ALONE = (b"\x80\x02", b"\x80\x04", b"\x80\x05")


def _read(path: Path, head: bytes) -> Model | None:
    members = {name.partition("/")[2] for name in member_names(path)}  # all is in one folder of the file's name
    if "constants.pkl" in members and any(name.startswith("code/") for name in members):
        return Model(format="torchscript", path=path, needs=NEEDS)
    if any(name.startswith("models/") and name.endswith(".json") for name in members):
        return Model(format="torch-export", path=path, needs=NEEDS)
    if "data.pkl" in members or head.startswith(_PICKLED_ALONE):
        raise UnsupportedError(
            f"{path} is of `torch.save`: weights or a pickled module, without the program",
            f"save it with `torch.export.save` or `torch.jit.save`, or {_CLASS}",
        )
    return None


def _read_safetensors(path: Path, head: bytes) -> Model | None:
    """The format begins with the length of its header, little-endian in 8 bytes, and the header, a JSON object."""
    if head[8:9] != b"{" or int.from_bytes(head[:8], "little") > path.stat().st_size:
        return None
    raise UnsupportedError(f"{path} has weights only, and no program that uses them", _CLASS)


FORMATS = (
    Format(name="torchscript", suffixes=(".pt", ".pth", ".ts"), read=_read),
    Format(name="torch-export", suffixes=(".pt2",), read=_read),
    Format(name="safetensors", suffixes=(".safetensors",), read=_read_safetensors),
)
