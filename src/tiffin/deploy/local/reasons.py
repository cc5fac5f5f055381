"""Why replicas are lost, in one of a few words that can be counted."""

from __future__ import annotations

from tiffin.engine.spec import State

EXIT, FAILED, MEMORY, SIGNAL, SLOW, START = "exit", "failed", "memory", "signal", "slow", "start"
REASONS = (EXIT, FAILED, MEMORY, SIGNAL, SLOW, START)
"""Its end, no load or a check that failed, too much memory, a signal, a load that took too long, no start at all."""
NOT_READY = "it has not been ready for"
"""How the failure of one begins that takes too long to load."""
_BY_SIGNAL = 128


def of_end(state: State) -> str:
    """Why a container ended that nobody stopped."""
    if state.reason == MEMORY:
        return MEMORY
    return SIGNAL if (state.exit_code or 0) > _BY_SIGNAL else EXIT


def of_failure(failure: str) -> str:
    """Why one is of no use that runs."""
    return SLOW if failure.startswith(NOT_READY) else FAILED
