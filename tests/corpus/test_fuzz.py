"""Every reader, given a real file with some bytes changed, ends in a value or an error of ours, soon and small."""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.cuts import SPECIMENS, placed
from corpus.readers import READERS
from corpus.sandbox import write
from tiffin.errors import TiffinError

PROCESSOR_SECONDS, SECONDS = 20, 120
"""What reading may use of a processor, and how long it may take on a busy machine."""
MEMORY = 400 << 20
NUMBERS = [b"\xff" * 2, b"\xff" * 4, b"\xff" * 8, b"\0\0\0\x80", struct.pack("<Q", 1 << 40)]
PIECES = [b"\0", b"\xff", b"/", b"..", b"../", b"\n", b"7" * 11, b"-1", b"PK\x05\x06", b"{}", b"[", b"\x80\x04"]
"""What a length, a name or a mark may become."""


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with one to four changes: some replaced, left out, repeated, or moved."""
    data = whole
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 1, 1, 2, 4, 8, 64, 512]))
        taken = data[at : at + size]
        put = draw(
            st.sampled_from([b"", taken * 2, bytes(len(taken)), *PIECES, *NUMBERS])
            | st.binary(min_size=len(taken), max_size=len(taken))
            | st.integers(0, 7).map(lambda bit, taken=taken: bytes(byte ^ (1 << bit) for byte in taken))  # type: ignore[misc]
        )
        data = data[:at] + put + data[at + size :]
    return data


@contextlib.contextmanager
def within(timer: int, number: signal.Signals, seconds: int) -> Iterator[None]:
    """Raise where something takes longer by a timer, which sends this signal."""

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(number, late)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, before)


def read(name: str, data: bytes) -> None:
    """Read the bytes as what they were made from."""
    reader, file, _ = SPECIMENS[name]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        (folder / "target").mkdir()
        write(folder / file, placed(file, data))
        before = sorted(path.name for path in folder.iterdir())
        with (
            within(signal.ITIMER_PROF, signal.SIGPROF, PROCESSOR_SECONDS),
            within(signal.ITIMER_REAL, signal.SIGALRM, SECONDS),
            contextlib.suppress(TiffinError),
        ):
            READERS[reader](folder / file, folder / "target")
        assert sorted(path.name for path in folder.iterdir()) == before
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_changed_file_is_read_or_refused(name: str) -> None:
    whole = SPECIMENS[name][2]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(changed(whole))
    def check(data: bytes) -> None:
        read(name, data)

    check()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before < MEMORY
