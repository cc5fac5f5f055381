"""What a container is doing, in words."""

from __future__ import annotations

import pytest

from tiffin.api.containers import described
from tiffin.engine.spec import State, Status


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(), "created"),
        (State(status=Status.RUNNING, pid=7), "running"),
        (State(status=Status.RUNNING, pid=7, restarts=1), "running (restarted once)"),
        (State(status=Status.RUNNING, restarts=3), "restarting (restarted 3 times)"),
        (State(status=Status.EXITED, exit_code=4, restarts=3), "exited 4"),
        (State(status=Status.EXITED, exit_code=137, reason="memory"), "exited 137 (memory)"),
    ],
)
def test_a_state_is_said_in_words(state: State, words: str) -> None:
    assert described(state) == words
