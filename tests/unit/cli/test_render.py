"""What people are told of work that goes on."""

from __future__ import annotations

import io

import pytest

from tiffin.cli.amounts import amount
from tiffin.cli.render import plain
from tiffin.progress import Advanced, Event, Finished, Started


@pytest.mark.parametrize(
    ("done", "total", "speed", "unit", "said"),
    [
        (1_500_000, 6_000_000, 500_000, "bytes", "1.5 MB of 6.0 MB, 500.0 kB/s, 9 s left"),
        (0, 6_000_000, None, "bytes", "0 B of 6.0 MB"),
        (7_000_000, 6_000_000, 1e6, "bytes", "7.0 MB of 6.0 MB, 1.0 MB/s, 0 s left"),
        (0, None, None, "", "3 s"),
        (1, 2, 1, "", "3 s"),
    ],
)
def test_how_far_a_step_is(done: int, total: int | None, speed: float | None, unit: str, said: str) -> None:
    assert amount(done, total, speed, 3, unit) == said


@pytest.mark.parametrize(
    ("moved", "line"),
    [
        ([2_000_000, 2_000_000], "push      abc  (4.0 MB in 2.00 s, 2.0 MB/s)\n"),
        ([2_000_000, -2_000_000, 4_000_000], "push      abc  (4.0 MB in 2.00 s, 2.0 MB/s)\n"),
        ([100], "push      abc  (100 B in 2.00 s)\n"),
        ([], "push      abc  (2.00 s)\n"),
    ],
)
def test_a_step_that_moved_bytes_says_how_many_and_how_fast(moved: list[int], line: str) -> None:
    out = io.StringIO()
    events: list[Event] = [Started(id=1, name="push", detail="abc", total=4_000_000, unit="bytes")]
    events += [Advanced(id=1, by=by) for by in moved]
    events += [Finished(id=1, name="push", detail="abc", seconds=2.0)]
    sink = plain(out)
    for event in events:
        sink(event)
    assert out.getvalue() == line


@pytest.mark.parametrize(("always", "line"), [(True, "scan      nothing found  (cached)\n"), (False, "")])
def test_a_step_that_took_no_time_has_a_line_where_it_is_always_worth_one(*, always: bool, line: str) -> None:
    out = io.StringIO()
    plain(out)(Finished(id=1, name="scan", detail="nothing found", seconds=0.0, cached=True, always=always))
    assert out.getvalue() == line
