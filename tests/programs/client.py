"""The command line of one engine, docker's or podman's."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from .process import run


@dataclass(frozen=True)
class Client:
    """`client("load", "--input", file)` returns what it printed; `run_options` go with every `run`."""

    program: tuple[str, ...]
    environment: Mapping[str, str]
    run_options: tuple[str, ...] = ()

    def __call__(self, *arguments: str) -> str:
        """Run a command; raises AssertionError with the program's own words."""
        return run(*self.argv(*arguments), env=self.environment)

    def argv(self, *arguments: str) -> list[str]:
        """Give the whole command."""
        first, *rest = arguments
        return [*self.program, first, *(self.run_options if first == "run" else ()), *rest]

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command ends well."""
        done = subprocess.run(self.argv(*arguments), env=self.environment, capture_output=True, check=False)
        return done.returncode == 0

    def logs(self, name: str) -> str:
        """Give everything a container wrote, on both streams."""
        done = subprocess.run(
            self.argv("logs", name),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def remove(self, *names: str) -> None:
        """Kill and remove containers; `rm --force` alone lets podman wait for each to end by itself."""
        for name in names:
            self.succeeds("kill", name)
            self("rm", "--force", name)

    def remove_all(self) -> None:
        """Remove every container, running or not."""
        self.remove(*self("ps", "--all", "--quiet").split())
