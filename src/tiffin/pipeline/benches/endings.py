"""How a step ended, in words: killed for its memory, by a signal, for its time; and what it said of its outputs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec

from tiffin.engine.spec import KILLED, NOT_FOUND, NOT_RUNNABLE
from tiffin.pipeline.graph import Step

STOPPED = "was stopped"
TERMINATED = 143
"""The exit code of what was stopped: 128 + 15, as a shell says it."""
MEMORY = "memory"
"""What engines say of a container that took too much of it."""
_ALL = "more memory than there is"
_SIGNALLED = 128
_MOST_METADATA = 1 << 20
_SIGNALS = {
    signal.SIGSEGV: "crashed: it touched memory that is not its own (SIGSEGV)",
    signal.SIGABRT: "gave up by itself (SIGABRT)",
    signal.SIGBUS: "crashed: it touched memory that is not there any more (SIGBUS)",
    signal.SIGILL: "crashed: it has instructions that this processor does not know (SIGILL)",
    signal.SIGFPE: "crashed: it divided by zero (SIGFPE)",
    signal.SIGTERM: "was told to end (SIGTERM)",
    signal.SIGINT: "was interrupted (SIGINT)",
}


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an end: the exit code, what the engine said, and which step it was."""

    code: int
    said: str
    step: Step


def took_longer(seconds: float) -> str:
    """Say that something was ended for its time."""
    return f"took longer than {seconds:g} s"


def why(ended: Why) -> str:
    """Say why a step ended otherwise than by itself; nothing where it did."""
    if ended.said == MEMORY:
        return f"took {_too_much(ended.step) or _ALL}"
    if ended.code in {NOT_FOUND, NOT_RUNNABLE} and ended.said:
        return ended.said
    if ended.code == KILLED:  # podman does not always know for what
        return f"was killed: {ended.said or f'nobody says why; perhaps it took {_too_much(ended.step) or _ALL}'}"
    return _signalled(ended.code - _SIGNALLED) if ended.code > _SIGNALLED else ""


def _too_much(step: Step) -> str:
    most = step.resources.memory
    return f"more memory than the {size(most)} that it may have" if most else ""


def _signalled(number: int) -> str:
    try:
        found = signal.Signals(number)
    except ValueError:
        return ""
    return _SIGNALS.get(found, f"was ended by a signal ({found.name})")


def size(amount: int) -> str:
    """Bytes as they are written in pipeline.py."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if amount >= 1 << power:
            return f"{amount / (1 << power):.3g} {unit}"
    return f"{amount} bytes"


def metadata(path: Path) -> dict[str, dict[str, Any]]:
    """Read what a function said of its output artifacts; raises ValueError for what is no JSON of that form."""
    if not path.exists() or not (found := path.stat().st_size):
        return {}
    if found > _MOST_METADATA:
        raise ValueError(f"{size(found)} are too much")
    return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]])
