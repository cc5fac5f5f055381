"""Which task of a run has which GPUs: those that no other has, for as long as it is being done. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class Gpus:
    """The GPUs of a machine, by name; none where nobody can look at that machine, whose engine then chooses."""

    def __init__(self, names: Sequence[str]) -> None:
        self._all, self._free = tuple(names), list(names)
        self._had: dict[str, tuple[str, ...]] = {}

    def has(self, count: int) -> bool:
        """Say whether a task that asks for so many may begin; one that asks for more than there are is told so then."""
        return count <= len(self._free) or count > len(self._all)

    def take(self, task: str, count: int) -> tuple[str, ...]:
        """Give a task the first ones that are free; nothing where there are not as many at all."""
        if not 0 < count <= len(self._free):
            return ()
        self._had[task] = tuple(self._free[:count])
        del self._free[:count]
        return self._had[task]

    def give_back(self, task: str) -> None:
        """Have what a task had be free, if it had any."""
        had = self._had.pop(task, ())
        self._free = [name for name in self._all if name in had or name in self._free]
