"""When a lost worker is replaced: at once, and ever later where new ones are lost as well. Pure: time is given."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LAST_SECONDS = 10.0
HEALTHY_SECONDS = 10.0
"""A worker that has worked for so long was no failure."""


def delay_after(failures: int) -> float:
    """Say how many seconds to wait after so many failures in a row: none after the first, then twice as long each."""
    doublings = min(failures - 2, 32)
    return min(FIRST_SECONDS * 2.0**doublings, LAST_SECONDS) if failures > 1 else 0.0


class Backoff:
    """How often workers were lost of late, and until when no other is started."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._ready_at = 0.0
        self._failed_at = 0.0

    def ready(self, now: float) -> None:
        """Note that a worker has begun to work."""
        self._ready_at = now

    def failed(self, now: float) -> None:
        """Note that one was lost; those that are lost while we wait anyway are one failure."""
        if self._ready_at > self._failed_at and now - self._ready_at > HEALTHY_SECONDS:
            self._failures = 0
        self._failed_at = now
        if now >= self._until:
            self._failures += 1
            self._until = now + delay_after(self._failures)

    def delay(self, now: float) -> float:
        """Say in how many seconds another may be started."""
        return max(self._until - now, 0.0)
