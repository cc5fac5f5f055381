"""Rows as commands take them: JSON, @FILE, or - for standard input."""

from __future__ import annotations

import sys
from pathlib import Path


def read(rows: str) -> bytes:
    """Read what an argument stands for."""
    if rows == "-":
        return sys.stdin.buffer.read()
    return Path(rows[1:]).read_bytes() if rows.startswith("@") else rows.encode()
