"""A container that ends before anybody looks is seen whole all the same."""

from __future__ import annotations

from pathlib import Path

from contract.engine_fixtures import EmbeddedBench

TIMES = 25
"""Enough for its end to fall before, into and after the moment in which its log is asked for."""


def test_the_log_of_what_ends_at_once_is_followed_to_its_end(tmp_path: Path) -> None:
    bench = EmbeddedBench(tmp_path / "data")
    for number in range(TIMES):
        container = bench.engine.create(bench.program(f"a{number}", "hello"))
        container.start(attached=True)
        assert "hello" in [line.text for line in container.logs(follow=True)]
        assert container.wait() == 3
        container.remove()
