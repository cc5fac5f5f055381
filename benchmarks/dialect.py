"""How a served model is asked: every server has paths and bodies of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """Where a server says that it lives and where it predicts; `field` names the rows where the body is an object."""

    live: str = "/v2/health/live"
    predict: str = "/predict"
    field: str = ""

    def body(self, rows: list[list[float]]) -> object:
        """Give what is posted for rows, as a JSON value."""
        return {self.field: rows} if self.field else rows


OURS = Dialect()
"""What tiffin's server speaks, in every image that has it."""
