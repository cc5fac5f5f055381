"""What joins measuring, tables and promises: the names of samples."""

from __future__ import annotations

from .cases import Case

FIRST, PSS, FRONT_PSS, IDLE, LOST, ASKED, PREDICT = (
    "first right answer",
    "PSS",
    "PSS of the front",
    "idle",
    "lost at the end",
    "asked at the end",
    "predict alone",
)
CPU, FRONT, REST, RATE, P50, P99, REFUSED = "cpu", "front", "rest", "rate", "p50", "p99", "refused"
CAPACITY = "capacity"
GOODPUT = "goodput"
CONTAINER, IMPORT = "container ready", "import and load"
CONNECTIONS = (1, 16, 64)
SHARES = (50, 80, 110)


def closed(connections: int) -> str:
    """Name a closed loop."""
    return f"c={connections}"


def opened(share: int) -> str:
    """Name an open loop at so many percent of the capacity."""
    return f"open {share} %"


def sample(case: Case, load: str, figure: str) -> str:
    """Name a figure of a load."""
    return f"{case.name}, {load}: {figure}"


def of_model(what: str, model: str) -> str:
    """Name a figure of a server with a model."""
    return f"{what}: {model}"
