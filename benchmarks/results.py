"""What was measured: samples by what was done and by whom, and their medians."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

REASON_LETTERS = 300


@dataclass
class Results:
    """Samples in seconds or bytes, in the order in which they came; `tell` hears of each as it comes.

    With a `file`, everything is kept in it after every turn, and a turn that is in it is not taken again; one that
    failed is.
    """

    tell: Callable[[str], None] = lambda _: None
    file: Path | None = None
    samples: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Go on from what the file has."""
        if self.file and self.file.exists():
            kept = json.loads(self.file.read_text())
            self.samples = {(what, who): values for what, who, values in kept["samples"]}
            self.done = kept["done"]

    def turn(self, name: str, who: str, take: Callable[[], None]) -> None:
        """Take a turn unless it was taken; whoever fails is named with the reason, and the others go on."""
        if name in self.done or who in self.failures:
            return
        before = {key: list(values) for key, values in self.samples.items()}
        try:
            take()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self.samples = before
            self.fail(who, error)
        else:
            self.done.append(name)
            self._keep()

    def fail(self, who: str, error: Exception) -> None:
        """Remember why somebody could not be measured, in the last words of its program; `tell` hears all of them."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        self.failures[who] = lines[-1][:REASON_LETTERS] if lines else type(error).__name__
        self.tell(f"{who} failed: {error}")

    def add(self, what: str, who: str, value: float) -> float:
        """Keep a sample and give it back."""
        self.samples.setdefault((what, who), []).append(value)
        self.tell(f"{who}: {what}: {value:.4g}")
        return value

    def has(self, what: str, who: str) -> bool:
        """Whether there is a sample."""
        return (what, who) in self.samples

    def median(self, what: str, who: str) -> float:
        """Give the median of the samples; raises KeyError where there is none."""
        return median(self.samples[what, who])

    def count(self, what: str, who: str) -> int:
        """How many samples somebody has of something."""
        return len(self.samples.get((what, who), []))

    def _keep(self) -> None:
        if self.file:
            samples = [[what, who, values] for (what, who), values in self.samples.items()]
            self.file.write_text(json.dumps({"samples": samples, "done": self.done}))
