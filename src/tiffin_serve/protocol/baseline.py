"""`baseline.json`: what the training data looked like.

The tool writes this document from a struct of its own; `spec/baseline.schema.json` is what the two share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tiffin_serve.protocol.service import Document

Share = Annotated[float, Meta(ge=0, le=1)]


class Feature(Document, frozen=True, kw_only=True):
    """One column: shares of all rows by bin of numbers, or by category with all others last; and what is missing.

    A number belongs to the first bin whose edge is not less than it, and to the last bin when there is none.
    """

    name: str = ""
    kind: Literal["number", "text"]
    missing: Share
    shares: Annotated[tuple[Share, ...], Meta(min_length=1)]
    edges: tuple[float, ...] = ()
    mean: float = 0.0
    deviation: float = 0.0
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold the lengths of the lists against each other."""
        cuts = self.edges if self.kind == "number" else self.categories
        if len(self.shares) != len(cuts) + 1:
            raise ValueError(f"`{self.name}` has {len(self.shares)} shares for {len(cuts) + 1} bins")
        if any(not one < other for one, other in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"the edges of `{self.name}` do not grow")


class Baseline(Document, frozen=True, kw_only=True):
    """Every column of the training data but the one that the model predicts, which is `target`."""

    schema: Literal[1] = 1
    rows: Annotated[int, Meta(ge=1)]
    features: list[Feature]
    target: Feature | None = None


def read(path: Path) -> Baseline:
    """Read the document; raises OSError, or ValueError that names the file and the place in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def json_schema() -> bytes:
    """Write the document's JSON Schema, as committed in `spec/baseline.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "baseline.json",
        **msgspec.json.schema(Baseline),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
