"""A program to run, as a value, and running it: for its time, for its memory, or only for its end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 900
"""No command of a benchmark takes longer."""


@dataclass(frozen=True)
class Command:
    """What to run, with its whole environment, and where."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path = Path("/")

    def start(self) -> subprocess.Popen[str]:
        """Start it; its output goes where `finish` finds it."""
        return subprocess.Popen(
            self.argv,
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for its end and return what it printed; raises AssertionError with its own words."""
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, f"`{' '.join(self.argv)}` exited with {process.returncode}:\n{out}{err}"
        return out.strip()

    def run(self) -> str:
        """Run it to its end and return what it printed."""
        return self.finish(self.start())


def timed(command: Command) -> float:
    """Run a command and return the seconds it took."""
    began = time.perf_counter()
    command.run()
    return time.perf_counter() - began
