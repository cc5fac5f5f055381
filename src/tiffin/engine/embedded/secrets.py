"""Secrets on their way into a container: read when it starts, kept in memory, handed over as descriptors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from tiffin.engine.refused import refused_secret
from tiffin.engine.spec import Secret

FOLDER = "/run/secrets"
"""Where a container reads them, as in docker."""


def read(wanted: Sequence[Secret], folder: str, opened: contextlib.ExitStack) -> list[tuple[int, str]]:
    """Read secrets into memory: a descriptor each, and its path in the container, whose folder has been resolved."""
    given = []
    for secret in wanted:
        try:
            content = Path(secret.source).read_bytes()
        except OSError as error:
            raise refused_secret(secret, error) from error
        descriptor = os.memfd_create("tiffin")
        opened.callback(os.close, descriptor)
        os.write(descriptor, content)
        given.append((descriptor, f"{folder}/{secret.name}"))
    return given
