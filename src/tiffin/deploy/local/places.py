"""Where the supervisor's files lie in a data folder, and what tells this home from others."""

from __future__ import annotations

import os
from pathlib import Path

from tiffin.oci.digest import Digest

DATABASE, FOLDER, SOCKET, LOCK, POKE = "deploy.sqlite", "deploy", "up.sock", "up.lock", "poke.sock"


def home_of(data: Path) -> str:
    """What the replicas of this home are labelled with, where several homes share an engine."""
    return Digest.of(os.fsencode(data.resolve())).hex[:16]
