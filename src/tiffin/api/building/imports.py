"""Refuse a model that would run code when it is loaded; a file that was approved once is not read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tiffin.api.machine.home import Home
from tiffin.build.recipes import SourceFile
from tiffin.models.allowed_imports import AllowedImports
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.progress import step

SCAN = 2
"""Raised whenever a scan could give another verdict, so that remembered ones are not believed."""


def approve_weights(
    files: Iterable[SourceFile], paths: Mapping[str, Path], format_: str, extra: Iterable[str], home: Home
) -> None:
    """Approve the model's files; raises DeniedError that names each import that is not allowed."""
    allowed, records = AllowedImports.of(tuple(extra)), home.records("approved")
    for file in files:
        path = paths[file.path]
        key = Digest.of(encode([SCAN, file.digest, path.suffix, format_, allowed.digest]))
        if records.get(key, str) is None:
            from tiffin.models.approve import approve

            with step("scan", path.name):
                approve(path, format_, allowed)
            records.put(key, file.path)
