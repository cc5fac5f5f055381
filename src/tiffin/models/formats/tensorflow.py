"""TensorFlow's SavedModel, a folder, and Keras 3's `.keras`, a zip of `config.json` and weights."""

from __future__ import annotations

import re
from pathlib import Path

from tiffin.models.archives import json_member
from tiffin.models.formats.format import Format
from tiffin.models.model import Model

_MARK = "saved_model.pb"
_RELEASE = re.compile(r"\d+(\.\d+)+")


def _read_saved_model(path: Path, head: bytes) -> Model | None:
    """A protobuf that begins with `saved_model_schema_version` (saved_model.proto, SavedModel, field 1, a varint)."""
    return Model(format="tensorflow", path=path, needs=("tensorflow",)) if head[:1] == b"\x08" else None


def _read_keras(path: Path, head: bytes) -> Model | None:
    metadata = json_member(path, "metadata.json") if head[:2] == b"PK" else None
    version = str((metadata or {}).get("keras_version", ""))
    if not _RELEASE.fullmatch(version):
        return None
    return Model(format="keras", path=path, needs=("keras", "tensorflow"), trained_with={"keras": version})


FORMATS = (
    Format(name="tensorflow", mark=_MARK, read=_read_saved_model),
    Format(name="keras", suffixes=(".keras",), read=_read_keras),
)
