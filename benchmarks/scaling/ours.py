"""Tiffin's autoscaler with its state, as the supervisor keeps it."""

from __future__ import annotations

from tiffin.deploy.autoscale import Memory, Policy, Sample, decide

TICK = 1.0
"""Seconds between two decisions."""


class Tiffin:
    """The pure decision, remembered."""

    tick = TICK

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._memory = Memory()

    def decide(self, sample: Sample, ready: int) -> int:
        """Take a sample in, and say how many replicas are wanted."""
        decision, self._memory = decide(self._policy, self._memory, sample, ready)
        return decision.wanted
