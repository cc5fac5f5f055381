"""What is counted of the journal: events by kind, lost replicas by reason, rollouts by how they came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EVENTS, RESTARTS, CRASHES, WORKERS, ROLLOUTS = "events", "restarts", "crashes", "workers", "rollouts"
OUTCOMES = ("available", "given-up")


def tallied(kind: str, numbers: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Say which counts an event of the journal adds to, and how much."""
    found = [(EVENTS, kind, 1)]
    if kind == "lost":
        reason = str(numbers.get("reason", "exit"))
        found += [(RESTARTS, reason, 1), *([(CRASHES, reason, 1)] if numbers.get("soon") else [])]
    elif kind == "worker":
        found.append((WORKERS, str(numbers.get("reason", "crash")), int(numbers.get("count", 1))))
    elif kind == "given-up" or (kind == "available" and numbers.get("revision") != numbers.get("stable")):
        found.append((ROLLOUTS, kind, 1))
    return found
