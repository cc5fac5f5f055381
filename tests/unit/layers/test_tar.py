from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.layers.entry import MTIME, Entry
from tiffin.layers.tar import BLOCK, END, header, padding

GOLDEN = (
    b"opt/venv/bin/f2py".ljust(100, b"\0")
    + b"0000755\0" + b"0000000\0" + b"0000000\0" + b"00000000301\0" + b"02263523000\0" + b"012364\0 " + b"0"
    + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" + b"0000000\0" + bytes(167)
)  # fmt: skip


def empty() -> io.BytesIO:
    return io.BytesIO()


def read(entry: Entry, content: bytes = b"") -> tarfile.TarInfo:
    data = header(entry) + content + padding(len(content)) + END
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        (found,) = tar.getmembers()
        return found


def test_a_header_is_these_very_bytes() -> None:
    assert header(Entry.file("opt/venv/bin/f2py", 0o301, empty, executable=True)) == GOLDEN


def test_a_header_says_nothing_of_owners_and_clocks() -> None:
    found = read(Entry.directory("models", 0o1777))
    assert (found.uid, found.gid, found.uname, found.gname, found.mtime) == (0, 0, "", "", MTIME)
    assert found.isdir()
    assert found.mode == 0o1777


def test_plain_paths_need_one_block() -> None:
    assert len(header(Entry.of("a", b""))) == BLOCK
    assert len(header(Entry.of("d" * 90 + "/" + "f" * 99, b""))) == BLOCK


@pytest.mark.parametrize("length", [99, 100, 101, 102, 154, 155, 156, 157, 200, 255, 256, 257, 300, 1000])
@pytest.mark.parametrize("make", [lambda path: Entry.of(path, b""), Entry.directory])
def test_long_paths_are_read_back(length: int, make: object) -> None:
    for part in (20, 100, 101, 154, 155, 160, 250):
        whole = "/".join(["x" * part] * (length // (part + 1) + 1))[:length].rstrip("/")
        assert read(make(whole)).name == whole


@pytest.mark.parametrize("path", ["modèle/poids.bin", "数据/文件", "e" * 99 + "é", "🍱"])
def test_paths_beyond_ascii_are_read_back(path: str) -> None:
    assert read(Entry.of(path, b"")).name == path


@pytest.mark.parametrize("target", ["../lib", "t" * 100, "t" * 101, "ü/" * 80 + "x"])
def test_links_are_read_back(target: str) -> None:
    found = read(Entry.symlink("a/link", target))
    assert found.issym()
    assert found.linkname == target


def test_a_size_beyond_eight_gib_is_read_back() -> None:
    for size in ((1 << 33) - 1, 1 << 33, 1 << 40):
        data = header(Entry.file("w", size, empty))
        stream = io.BytesIO(data)
        with tarfile.open(fileobj=stream, mode="r:", ignore_zeros=True) as tar:
            assert tar.firstmember.size == size


@given(
    path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=300),
    mode=st.integers(0, 0o7777),
    size=st.integers(0, 5000),
)
def test_whatever_is_written_is_read_back(path: str, mode: int, size: int) -> None:
    entry = Entry(path=path, kind=Entry.of("x", b"").kind, mode=mode, size=size, open=empty)
    found = read(entry, bytes(size))
    assert (found.name, found.mode, found.size) == (path, mode, size)
