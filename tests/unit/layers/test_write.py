from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import IntegrityError
from tiffin.layers.entry import MTIME, Deflated, Entry
from tiffin.layers.output import BLOCK
from tiffin.layers.write import write_layer
from tiffin.oci.documents import LAYER, LAYER_GZIP
from unit.layers.shelf import Shelf
from unit.layers.zips import deflate, noise, shuffled


def spliced(path: str, data: bytes) -> Entry:
    """An entry that came compressed, in pieces of odd sizes."""
    stream = deflate(data)

    def pieces() -> Iterator[tuple[bytes, bytes]]:
        yield stream[:3], b""
        yield b"", data[: len(data) // 2]
        yield stream[3:], data[len(data) // 2 :]

    return msgspec.structs.replace(Entry.of(path, data), deflated=Deflated(crc=zlib.crc32(data), pieces=pieces))


TINY = [
    Entry.of("app/main.py", b"print('hello')\n"),
    Entry.symlink("app/link", "main.py"),
    Entry.directory("tmp", 0o1777),
]


def test_a_tiny_layer_is_these_very_bytes(shelf: Shelf) -> None:
    plain, packed = write_layer(TINY, shelf, compress=False), write_layer(TINY, shelf)
    assert packed.diff_id.hex == plain.diff_id.hex == "358db72e4d464676308c83f03a07d9a1f6e653b24c9cd1424281cf0532ae9c3c"
    assert packed.descriptor.digest.hex == "4e68d3c49486ac38fda7c62a98d43a72ea42df1af4530a47341d566daf8e6f39"
    assert shelf.tar(plain) == shelf.tar(packed)


def test_an_uncompressed_layer_is_its_own_diff_id(shelf: Shelf) -> None:
    layer = write_layer(TINY, shelf, compress=False)
    assert layer.descriptor.media_type == LAYER
    assert layer.descriptor.digest == layer.diff_id
    assert write_layer(TINY, shelf).descriptor.media_type == LAYER_GZIP


def test_parents_come_first_with_one_mode_and_mtime(shelf: Shelf) -> None:
    layer = write_layer([Entry.of("a/b/c/file", b""), Entry.directory("a/b", 0o700), Entry.of("a-b", b"")], shelf)
    with shelf.open(layer) as tar:
        found = [(m.name, m.mode) for m in tar]
        assert {m.mtime for m in tar} == {MTIME}
    assert found == [("a", 0o755), ("a-b", 0o644), ("a/b", 0o700), ("a/b/c", 0o755), ("a/b/c/file", 0o644)]


def test_the_order_in_which_entries_come_does_not_matter(shelf: Shelf) -> None:
    entries = [Entry.of(f"d{n % 7}/f{n}", b"%d" % n * n) for n in range(300)]
    assert write_layer(entries, shelf) == write_layer(shuffled(entries), shelf)


def test_how_content_is_read_does_not_matter(shelf: Shelf) -> None:
    data = noise(1000) * 5000

    class Dripping(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            return super().read(100_001)

    def dripping() -> BinaryIO:
        return Dripping(data)

    assert write_layer([Entry.file("w", len(data), dripping)], shelf) == write_layer([Entry.of("w", data)], shelf)


paths = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=60).filter(
        lambda part: part not in {".", ".."} and not part.startswith(".wh.")
    ),
    min_size=1,
    max_size=6,
).map("/".join)
trees = st.dictionaries(paths, st.tuples(st.booleans(), st.booleans(), st.binary(max_size=3000)), max_size=20).filter(
    lambda tree: not {"/".join(p.split("/")[:n]) for p in tree for n in range(1, p.count("/") + 1)} & set(tree)
)


@given(tree=trees, compress=st.booleans())
def test_any_tree_is_read_back(*, tree: dict[str, tuple[bool, bool, bytes]], compress: bool) -> None:
    shelf = Shelf()
    entries = [
        spliced(path, data) if pre else Entry.of(path, data, executable=executable)
        for path, (pre, executable, data) in tree.items()
    ]
    layer = write_layer(entries, shelf, compress=compress)
    assert shelf.files(layer) == {
        path: (0o755 if executable and not pre else 0o644, data) for path, (pre, executable, data) in tree.items()
    }


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, BLOCK - 513, BLOCK - 512, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_content_around_the_sizes_of_blocks_is_read_back(shelf: Shelf, size: int) -> None:
    data = noise(size)
    entries = [Entry.of("a", data), spliced("b", data), Entry.of("c", data), Entry.of("d", b"end")]
    expected = {"a": (0o644, data), "b": (0o644, data), "c": (0o644, data), "d": (0o644, b"end")}
    assert (
        shelf.files(write_layer(entries, shelf)) == shelf.files(write_layer(entries, shelf, compress=False)) == expected
    )


def test_what_came_compressed_is_stored_as_it_came(shelf: Shelf) -> None:
    data = noise(300) * 500
    blob = shelf.blob(write_layer([spliced("big", data), Entry.of("small", b"x")], shelf))
    assert deflate(data) in blob
    assert gzip.decompress(blob).count(data) == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "cannot be a path"),
        ("../x", "cannot be a path"),
        ("a/../x", "cannot be a path"),
        ("a/./x", "cannot be a path"),
        ("a//x", "cannot be a path"),
        ("a/", "cannot be a path"),
        ("", "cannot be a path"),
        ("a\0b", "cannot be a path"),
        ("a/.wh.b", "cannot be a path"),
        (".wh..wh..opq", "cannot be a path"),
        ("\udcff", "cannot be a path"),
        ("x" * 256, "cannot be a path"),
        ("there", "twice"),
        ("there/below", "there is a file"),
        ("link/below", "link is a symlink"),
    ],
)
def test_a_path_that_cannot_be_in_a_layer_is_refused(shelf: Shelf, path: str, why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        write_layer([Entry.of("there", b""), Entry.symlink("link", "there"), Entry.of(path, b"")], shelf)
    assert not shelf.blobs


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("size", [0, 5, 3 * BLOCK])
def test_a_file_that_changed_since_it_was_planned_is_refused(shelf: Shelf, size: int, *, compress: bool) -> None:
    for wrong in {size + 1, max(0, size - 1)} - {size}:
        if wrong:
            entry = Entry.file("model.bin", wrong, lambda: io.BytesIO(bytes(size)))
            with pytest.raises(IntegrityError, match=r"model\.bin is not"):
                write_layer([entry], shelf, compress=compress)
    assert not shelf.blobs


@pytest.mark.parametrize("compress", [True, False])
def test_a_store_that_fails_ends_the_work_with_its_error(*, compress: bool) -> None:
    def full(_: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        write_layer([Entry.of("w", bytes(50 * BLOCK))], Shelf(full), compress=compress)


@pytest.mark.parametrize("compress", [True, False])
def test_only_a_few_blocks_are_read_ahead_of_what_is_stored(*, compress: bool) -> None:
    read, stored, ahead = [0], [0], [0]
    block = noise(BLOCK)

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            data = block[: min(size, 100 * BLOCK - read[0])]
            read[0] += len(data)
            ahead[0] = max(ahead[0], read[0] - stored[0])
            return data

    def seen(data: bytes) -> None:
        stored[0] += len(data)

    write_layer([Entry.file("w", 100 * BLOCK, Endless)], Shelf(seen), compress=compress)
    assert ahead[0] <= (2 * (os.cpu_count() or 2) + 8) * BLOCK


@pytest.mark.parametrize("program", ["tar", "gzip"])
def test_the_systems_programs_read_a_layer(shelf: Shelf, tmp_path: Path, program: str) -> None:
    found = shutil.which(program)
    if not found:
        pytest.skip(program)
    long = "/".join(["lang" * 20] * 4) + "/" + "é" * 80
    entries = [*TINY, Entry.of(long, b"long"), spliced("zipped", b"content" * 999), Entry.symlink("s", "t" * 150)]
    path = tmp_path / "layer.tar.gz"
    path.write_bytes(shelf.blob(write_layer(entries, shelf)))
    if program == "gzip":
        subprocess.run([found, "-t", str(path)], check=True)
        return
    subprocess.run(
        [found, "-xzf", str(path), "-C", str(tmp_path)], check=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    assert (tmp_path / long).read_bytes() == b"long"
    assert (tmp_path / "zipped").read_bytes() == b"content" * 999
    assert (tmp_path / "s").readlink() == Path("t" * 150)
    assert (tmp_path / "app/main.py").stat().st_mtime == MTIME
    assert hashlib.sha256((tmp_path / "app/link").read_bytes()).digest() == hashlib.sha256(b"print('hello')\n").digest()


def test_what_goes_through_a_link_of_the_base_is_put_where_it_leads() -> None:
    entries = [Entry.of("opt/venv/a", b"a"), Entry.of("opt/b", b"b"), Entry.of("option", b"c"), Entry.directory("app")]
    links = [("app", "srv/app"), ("opt/venv", "v"), ("opt", "var/opt")]
    shelf = Shelf()
    with shelf.open(write_layer(entries, shelf, links=links)) as tar:
        assert tar.getnames() == ["option", "srv", "srv/app", "v", "v/a", "var", "var/opt", "var/opt/b"]
