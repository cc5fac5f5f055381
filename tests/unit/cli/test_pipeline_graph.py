"""`tiffin pipeline graph`: lines for people at a terminal, a picture for everybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from end_to_end.test_compiled_pipelines import SPEC
from unit.cli.test_attach import said, terminal


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "letters.yaml"
    path.write_text(SPEC)
    return str(path)


def test_on_a_terminal_it_is_lines(tmp_path: Path, spec: str) -> None:
    with terminal(tmp_path, "pipeline", "graph", "-C", spec, more={"NO_COLOR": "1"}) as screen:
        screen.see("○ count  ← say".encode())
        assert screen.end() == 0
        assert b"<svg" not in screen.seen


def test_on_a_terminal_it_is_a_picture_where_that_is_asked_for(tmp_path: Path, spec: str) -> None:
    with terminal(tmp_path, "pipeline", "graph", "-C", spec, "--svg") as screen:
        screen.see(b"</svg>")
        assert screen.end() == 0


def test_what_is_passed_on_or_written_is_a_picture(tmp_path: Path, spec: str) -> None:
    drawn = said(tmp_path, "pipeline", "graph", "-C", spec)
    assert drawn.startswith("<svg")
    with terminal(tmp_path, "pipeline", "graph", "-C", spec, "-o", str(tmp_path / "run.svg")) as screen:
        assert screen.end() == 0
    assert (tmp_path / "run.svg").read_text() == drawn
