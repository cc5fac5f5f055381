"""What was measured: samples by what was done and by whom, and their medians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Results:
    """Samples in seconds or bytes, in the order in which they came; `tell` hears of each as it comes."""

    tell: Callable[[str], None] = lambda _: None
    samples: dict[tuple[str, str], list[float]] = field(default_factory=dict)

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

    def count(self, what: str) -> int:
        """How many samples each of those who did this has, at least."""
        return min((len(values) for (done, _), values in self.samples.items() if done == what), default=0)
