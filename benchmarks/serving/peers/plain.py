"""Questions of servers without a protocol: `{"rows": ...}`, answered by an object with `predictions` or by a list."""

from __future__ import annotations

import msgspec

from benchmarks.serving.cases import Case
from benchmarks.serving.oip import flat
from benchmarks.serving.samples import Samples
from tiffin.traffic.address import Question


def ask(case: Case, samples: Samples, field: str = "rows", path: str = "/predict") -> Question:
    """Ask with nested lists."""
    return Question(path=path, body=msgspec.json.encode({field: samples.values(case)}))


def read(body: bytes) -> list[float]:
    """Give the numbers, flat."""
    answer = msgspec.json.decode(body)
    return flat(answer["predictions"] if isinstance(answer, dict) else answer)
