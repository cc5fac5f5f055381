"""A container's log, line by line."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.embedded.keeper_log import LONGEST, Log


def written(parts: list[bytes]) -> list[str]:
    """What a log holds of a stream that arrives in these parts."""
    descriptor = os.memfd_create("log", os.MFD_CLOEXEC)
    try:
        log = Log(descriptor)
        for part in parts:
            log.write("stdout", part)
        log.write("stdout", b"", final=True)
        return [json.loads(line)["log"] for line in os.pread(descriptor, 1 << 24, 0).splitlines()]
    finally:
        os.close(descriptor)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_lines_are_the_same_however_they_arrive(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[one:two] for one, two in pairwise(places)]
    assert written(parts) == written([data])
    assert "".join(written([data])) == data.decode(errors="replace")


def test_a_line_without_an_end_is_kept_in_parts() -> None:
    found = written([b"x" * (2 * LONGEST + 1)])
    assert [len(part) for part in found] == [LONGEST, LONGEST, 1]


def test_a_full_disk_does_not_stop_the_container(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        log = Log(full)
        log.write("stderr", b"first\nlast\n")
        assert log.said == "last"
    finally:
        os.close(full)
    assert not list(tmp_path.iterdir())
