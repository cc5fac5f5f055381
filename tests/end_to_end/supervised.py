"""A home and whoever supervises it: `tiffin up`, begun, killed, and begun again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from end_to_end.small import environment


class Supervised:
    """A home whose services are kept while somebody supervises it."""

    process: subprocess.Popen[str]

    def __init__(self, home: Path) -> None:
        self.home = home

    def supervise(self) -> None:
        """Have a supervisor that says what it keeps."""
        self.process = begun(self.home)

    def kill_supervisor(self) -> None:
        """End it without a warning."""
        self.process.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()


def begun(
    home: Path, *options: str, before: tuple[str, ...] = (), more: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Begin `tiffin up`, behind the words `before` and with variables, and wait until it keeps what there is."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "tiffin", "up", *options],
        env={**environment(home), **(more or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert "keeping" in process.stderr.readline()
    return process
