"""Knative's autoscaler for comparison (knative/serving, pkg/autoscaler/scaling/autoscaler.go)."""

from __future__ import annotations

from math import ceil, floor, inf

from tiffin.deploy.autoscale import Policy, Sample, average

TICK = 2.0
"""Seconds between two decisions."""


class Knative:
    """The algorithm with its state: it decides by concurrency, sees no queue, and ratchets in a panic."""

    tick = TICK

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._samples: tuple[Sample, ...] = ()
        self._panic_since = -inf
        self._most = 0

    def decide(self, sample: Sample, ready: int) -> int:
        """Take a sample in, and say how many replicas are wanted."""
        policy = self._policy
        self._samples = (*(one for one in self._samples if one.time > sample.time - policy.stable_seconds), sample)
        pods = max(ready, 1)
        highest, lowest = ceil(policy.faster * pods), floor(pods / policy.slower) if ready else 0
        stable, panic = (
            ceil(average(self._samples, sample.time, seconds) / policy.concurrency)
            for seconds in (policy.stable_seconds, policy.panic_seconds)
        )
        usual, sudden = min(max(stable, lowest), highest), min(max(panic, lowest), highest)
        if panic / pods >= policy.panic:
            self._panic_since = sample.time
        wanted = usual
        if sample.time - self._panic_since <= policy.stable_seconds:
            self._most = wanted = max(usual, sudden, self._most)
        else:
            self._most = 0
        if stable == 0 and not policy.least:
            return 0
        return min(max(wanted, policy.least, 1), policy.most)
