"""Wheels that bring the same paths: a value that is found once, that a lock keeps, and that a plan is made of."""

from __future__ import annotations

import msgspec


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Wheels, by name, that all bring certain `paths`, counted; the last of them provides these.

    `differing` of the paths do not have the same bytes in all of them, and `first` are the first of those.
    """

    wheels: tuple[str, ...]
    paths: int
    differing: int = 0
    first: tuple[str, ...] = ()

    @property
    def winner(self) -> str:
        """The wheel whose files are taken: the last by name, since no installer says which one it would be."""
        return self.wheels[-1]

    def warning(self) -> str | None:
        """Say what is lost; None where all bring the same bytes."""
        if not self.differing:
            return None
        names = f"{', '.join(self.wheels[:-1])} and {self.winner}"
        shown = ", ".join(self.first) + (" and others" if self.differing > len(self.first) else "")
        return (
            f"{names} bring {self.differing} of the same files with other content ({shown}); "
            f"those of {self.winner} are taken, the last by name: keep one of these packages in your requirements"
        )
