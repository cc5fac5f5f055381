"""What a container is doing, in words."""

from __future__ import annotations

import pytest

from tiffin.api.containers.verbs import address, described, url
from tiffin.engine.spec import Port, State, Status


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


@pytest.mark.parametrize(
    ("socket", "host", "printed"),
    [
        ("http", "127.0.0.1", "http://127.0.0.1:8080"),
        ("http", "::1", "http://[::1]:8080"),
        ("grpc", "127.0.0.1", "127.0.0.1:8080"),
        ("", "127.0.0.1", "127.0.0.1:8080"),
        ("", "::1", "[::1]:8080"),
    ],
)
def test_only_what_is_known_to_speak_http_is_printed_as_its_address(socket: str, host: str, printed: str) -> None:
    port = Port(container_port=80, host_port=8080, host=host, socket=socket)
    assert address(port) == printed
    assert url(port).startswith("http://"), "whoever asks by HTTP is told how"
