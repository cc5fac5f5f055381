"""Which replica a new connection goes to: shares between revisions, and the fewest connections within one."""

from __future__ import annotations

from collections.abc import Mapping


class Shares:
    """Gives each revision its share of the connections, evenly spread: of 10 and 90, every tenth.

    Each time everybody's credit grows by its weight, the one with most is chosen and pays what all have got together
    (smooth weighted round robin). Who cannot be chosen neither gains nor pays.
    """

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def choose(self, weights: Mapping[str, float]) -> str:
        """Choose among these, at least one; where all weigh nothing, they weigh alike."""
        total = sum(weights.values())
        if total <= 0:
            weights, total = dict.fromkeys(weights, 1.0), float(len(weights))
        self._credit = {name: self._credit.get(name, 0.0) for name in weights}
        for name, weight in weights.items():
            self._credit[name] += weight
        chosen = max(sorted(weights), key=lambda name: self._credit[name])
        self._credit[chosen] -= total
        return chosen


def fewest(connections: Mapping[str, int], turns: Mapping[str, int]) -> str:
    """Of these replicas the one with the fewest connections; among equals the one whose turn is longest ago."""
    return min(connections, key=lambda name: (connections[name], turns.get(name, 0), name))
