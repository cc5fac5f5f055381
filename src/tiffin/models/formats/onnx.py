"""ONNX: a file, and those beside it that have its larger tensors."""

from __future__ import annotations

from pathlib import Path

from tiffin.models.formats.format import Format
from tiffin.models.model import Model
from tiffin.models.onnx_file import external_files


def _read(path: Path, head: bytes) -> Model | None:
    """An ONNX file is a protobuf whose first field is `ir_version` (onnx.proto, ModelProto, field 1, a varint)."""
    if head[:1] == b"\x08" and len(head) > 2 and 1 <= head[1] <= 20:  # noqa: PLR2004 - ir_version of all releases
        return Model(format="onnx", path=path, beside=external_files(path), needs=("onnxruntime",))
    return None


FORMATS = (Format(name="onnx", suffixes=(".onnx",), read=_read),)
