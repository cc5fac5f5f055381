"""Unpacking layers: what is hostile is refused and reaches nothing; its valid twin comes out as written."""

from __future__ import annotations

import errno
import gzip
import io
import itertools
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.tars import END, HOSTILE, LONG, extended, file, folder, hard_link, header, padded, record, symlink
from tiffin.errors import ConflictError, FullError, IntegrityError, TiffinError, UnavailableError, UnsupportedError
from tiffin.layers import unpack
from tiffin.layers.links import is_opaque
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, LAYER_GZIP, LAYER_ZSTD


def unpacked(tar: bytes, target: Path, **options: int) -> None:
    unpack_layer(io.BytesIO(tar), LAYER, target, Digest.of(tar), **options)


def tree(target: Path) -> dict[str, str]:
    """Return what a folder has: each path with its kind, mode and content."""
    found = {}
    for path in sorted(target.rglob("*")):
        mode = path.lstat().st_mode
        name = str(path.relative_to(target))
        if stat.S_ISLNK(mode):
            found[name] = f"-> {path.readlink()}"
        elif stat.S_ISDIR(mode):
            found[name] = f"{stat.S_IMODE(mode):o}/"
        else:
            found[name] = f"{stat.S_IMODE(mode):o} {path.read_bytes().decode('latin-1')}"
    return found


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("untouched")
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tars_are_refused_and_reach_nothing(name: str, target: Path) -> None:
    members, error = HOSTILE[name]
    with pytest.raises(error):
        unpacked(members + (END if "half a" not in name and "beyond" not in name else b""), target)
    assert tree(target.parent / "outside") == {"precious": "644 untouched"}
    assert {path.name for path in target.parent.iterdir()} == {"outside", "target"}


VALID: dict[str, tuple[bytes, dict[str, str]]] = {
    "a file": (file(b"f"), {"f": "644 data"}),
    "an empty file": (file(b"f", b""), {"f": "644 "}),
    "a name that begins with dot slash": (folder(b"./") + file(b"./f"), {"f": "644 data"}),
    "a name with two dots in it": (file(b"a..b"), {"a..b": "644 data"}),
    "a name with three dots": (file(b"..."), {"...": "644 data"}),
    "parents that are not given": (file(b"a/b/f"), {"a": "755/", "a/b": "755/", "a/b/f": "644 data"}),
    "a ustar prefix": (header(b"f", prefix=b"a"), {"a": "755/", "a/f": "644 "}),
    "no prefix in GNU's format": (header(b"f", prefix=b"../x", magic=b"ustar  \0"), {"f": "644 "}),
    "a pax path": (extended(record(b"path", b"a/f")) + file(b"ok"), {"a": "755/", "a/f": "644 data"}),
    "a GNU long name": (extended(b"g\0", b"L") + file(b"ok"), {"g": "644 data"}),
    "a GNU long link": (extended(b"g\0", b"K") + symlink(b"l", b"cut"), {"l": "-> g"}),
    "a pax size over the header's": (
        extended(record(b"size", b"4")) + header(b"f", 0) + padded(b"data"),
        {"f": "644 data"},
    ),
    "a base-256 size": (header(b"f", size_field=b"\x80" + bytes(10) + b"\x04") + padded(b"data"), {"f": "644 data"}),
    "a global header with a comment": (extended(record(b"comment", b"hi"), b"g") + file(b"f"), {"f": "644 data"}),
    "an attribute that is dropped": (
        extended(record(b"SCHILY.xattr.security.capability", b"\1\0\0\2")) + file(b"f"),
        {"f": "644 data"},
    ),
    "links to anywhere, unfollowed": (
        symlink(b"l", b"../outside") + symlink(b"m", b"/etc/passwd"),
        {"l": "-> ../outside", "m": "-> /etc/passwd"},
    ),
    "a hard link": (
        folder(b"d") + file(b"d/f") + hard_link(b"h", b"d/f"),
        {"d": "755/", "d/f": "644 data", "h": "644 data"},
    ),
    "a hard link over a file": (
        file(b"f") + file(b"h", b"old") + hard_link(b"h", b"./f"),
        {"f": "644 data", "h": "644 data"},
    ),
    "a file twice": (file(b"f", b"first") + file(b"f", b"last"), {"f": "644 last"}),
    "a file that replaces one end of a hard link": (
        file(b"f", b"one") + hard_link(b"h", b"f") + file(b"f", b"two"),
        {"f": "644 two", "h": "644 one"},
    ),
    "a file that replaces a link": (symlink(b"l", b"../outside/precious") + file(b"l"), {"l": "644 data"}),
    "a link that replaces a file": (file(b"l") + symlink(b"l", b"t"), {"l": "-> t"}),
    "a folder that replaces a link": (
        symlink(b"d", b"../outside") + folder(b"d") + file(b"d/f"),
        {"d": "755/", "d/f": "644 data"},
    ),
    "a file that replaces a full folder": (file(b"d/e/f") + file(b"d"), {"d": "644 data"}),
    "a folder that replaces a file": (file(b"d") + folder(b"d") + file(b"d/f"), {"d": "755/", "d/f": "644 data"}),
    "a folder twice": (folder(b"d") + file(b"d/f") + folder(b"d"), {"d": "755/", "d/f": "644 data"}),
    "setuid and odd modes": (
        file(b"s", mode=0o4755) + file(b"x", mode=0o100) + file(b"r", mode=0) + folder(b"d", 0o1777),
        {"d": "755/", "r": "644 data", "s": "755 data", "x": "755 data"},
    ),
    "an old-style file": (header(b"f", kind=b"\0"), {"f": "644 "}),
    "an old-style folder": (header(b"d/", kind=b"\0"), {"d": "755/"}),
    "a name with a newline": (file(b"a\nb"), {"a\nb": "644 data"}),
    "a path of 300 bytes": (extended(record(b"path", LONG)) + file(b"ok"), {}),
    "a dot folder": (folder(b".wh") + file(b".whx"), {".wh": "755/", ".whx": "644 data"}),
    "nothing": (b"", {}),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_twins_come_out_as_written(name: str, target: Path) -> None:
    members, expected = VALID[name]
    unpacked(members + END, target)
    if expected:
        assert tree(target) == expected


def test_a_name_that_is_not_utf8_is_kept(target: Path) -> None:
    unpacked(file(b"\xff\xfe") + END, target)
    assert os.listdir(bytes(target)) == [b"\xff\xfe"]  # noqa: PTH208 - pathlib has no bytes


def test_the_callers_umask_changes_nothing(target: Path) -> None:
    before = os.umask(0o077)
    try:
        unpacked(folder(b"d") + file(b"d/f") + file(b"e/x", mode=0o755) + END, target)
    finally:
        os.umask(before)
    assert tree(target) == {"d": "755/", "d/f": "644 data", "e": "755/", "e/x": "755 data"}


def test_what_follows_the_end_counts_for_the_diff_id_only(target: Path) -> None:
    unpacked(file(b"f") + END + file(b"g") + b"garbage", target)
    assert tree(target) == {"f": "644 data"}


def test_another_diff_id_is_refused(target: Path) -> None:
    with pytest.raises(IntegrityError, match="not to its diff ID"):
        unpack_layer(io.BytesIO(file(b"f") + END), LAYER, target, Digest.of(b"other"))


def test_a_layer_beyond_the_limit_is_refused(target: Path) -> None:
    tar = file(b"f", bytes(4 << 20)) + END
    unpacked(tar, target, limit=len(tar))
    (target / "f").unlink()
    with pytest.raises(IntegrityError, match="more than"):
        unpacked(tar, target, limit=len(tar) - 1)


def test_a_decompression_bomb_is_stopped_at_the_limit(target: Path) -> None:
    bomb = gzip.compress(header(b"f", 1 << 32) + bytes(32 << 20), 9)
    with pytest.raises(IntegrityError, match="more than"):
        unpack_layer(io.BytesIO(bomb), LAYER_GZIP, target, Digest.of(b""), limit=8 << 20)
    assert (target / "f").stat().st_size <= 8 << 20


def test_a_layer_with_too_many_paths_is_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "ENTRIES", 3)
    with pytest.raises(IntegrityError, match="more than 3 paths"):
        unpacked(b"".join(file(b"%d" % i) for i in range(4)) + END, target)


def test_a_folder_with_something_in_it_is_refused(target: Path) -> None:
    (target / "there").touch()
    with pytest.raises(ConflictError, match="not empty"):
        unpacked(END, target)


class Broken(io.RawIOBase):
    """A blob on a disk that fails."""

    def __init__(self, number: int) -> None:
        self.number = number

    def read(self, _: int = -1) -> bytes:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EIO, UnavailableError, "could not unpack"),
        (errno.ENOSPC, FullError, "no room in"),
        (errno.EDQUOT, FullError, "your quota in"),
        (errno.EFBIG, FullError, "would be larger"),
    ],
)
def test_a_failing_disk_is_told_from_a_full_one(number: int, kind: type[TiffinError], words: str, target: Path) -> None:
    with pytest.raises(kind, match=words):
        unpack_layer(Broken(number), LAYER, target, Digest.of(END))  # type: ignore[arg-type]


def spliced(tar: bytes) -> bytes:
    """Compress a tar as many gzip members, cut at odd places, with an empty member among them."""
    cuts = [0, 1, 512, 700, len(tar) // 2, len(tar) // 2, len(tar)]
    return b"".join(gzip.compress(tar[a:b]) for a, b in itertools.pairwise(cuts))


@pytest.mark.parametrize("compress", [gzip.compress, spliced, lambda tar: gzip.compress(tar) + bytes(100)])
@pytest.mark.parametrize("media_type", [LAYER_GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip"])
def test_gzip_layers_of_one_or_many_members_unpack(
    compress: Callable[[bytes], bytes], media_type: str, target: Path
) -> None:
    tar = file(b"a", b"x" * 3000) + file(b"b") + END
    unpack_layer(io.BytesIO(compress(tar)), media_type, target, Digest.of(tar))
    assert tree(target) == {"a": "644 " + "x" * 3000, "b": "644 data"}


@pytest.mark.parametrize("cut", [5, 15, 200, -9, -1])
def test_truncated_gzip_is_refused(cut: int, target: Path) -> None:
    tar = file(b"a", os.urandom(3000)) + END
    with pytest.raises(IntegrityError):
        unpack_layer(io.BytesIO(gzip.compress(tar)[:cut]), LAYER_GZIP, target, Digest.of(tar))


def test_damaged_gzip_is_refused(target: Path) -> None:
    tar = file(b"a", b"abc" * 3000) + END
    packed = bytearray(gzip.compress(tar))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(IntegrityError):
        unpack_layer(io.BytesIO(bytes(packed)), LAYER_GZIP, target, Digest.of(tar))


def test_what_is_no_layer_is_refused(target: Path) -> None:
    with pytest.raises(UnsupportedError, match="media type"):
        unpack_layer(io.BytesIO(b""), "text/plain", target, Digest.of(b""))


def test_zstd_is_read_where_python_can_and_refused_with_a_hint_elsewhere(target: Path) -> None:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - Python 3.14 has it
    except ModuleNotFoundError:
        with pytest.raises(UnsupportedError, match="zstd") as caught:
            unpack_layer(io.BytesIO(b""), LAYER_ZSTD, target, Digest.of(b""))
        assert "gzip" in (caught.value.hint or "")
    else:
        tar = file(b"f") + END
        unpack_layer(io.BytesIO(zstd.compress(tar)), LAYER_ZSTD, target, Digest.of(tar))
        assert tree(target) == {"f": "644 data"}


NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=30
).filter(lambda name: name not in {".", ".."} and not name.startswith(".wh.") and len(name.encode()) < 200)
PATHS = st.lists(NAMES, min_size=1, max_size=8).map("/".join)


def _consistent(paths: dict[str, object]) -> bool:
    """Say whether no path lies below another that is a file."""
    return not any(other.startswith(path + "/") for path in paths for other in paths)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8).filter(_consistent),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_what_pythons_own_tar_writes_comes_out_the_same(files: dict[str, bytes], form: int) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(data), 0.5
            archive.addfile(info, io.BytesIO(data))
    with tempfile.TemporaryDirectory() as made:
        unpacked(packed.getvalue(), Path(made))
        found = {str(path.relative_to(made)): path.read_bytes() for path in Path(made).rglob("*") if path.is_file()}
    assert found == files


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_to_a_tar_is_noticed_and_never_escapes(data: st.DataObject) -> None:
    tar = bytearray(
        folder(b"d") + file(b"d/f") + symlink(b"l", b"d") + extended(record(b"path", b"p")) + file(b"q") + END
    )
    digest = Digest.of(bytes(tar))
    for _ in range(data.draw(st.integers(1, 4))):
        tar[data.draw(st.integers(0, len(tar) - 1))] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as made:
        inner = Path(made) / "target"
        inner.mkdir()
        if Digest.of(bytes(tar)) != digest:
            with pytest.raises((IntegrityError, UnsupportedError)):
                unpack_layer(io.BytesIO(bytes(tar)), LAYER, inner, digest)
        assert [path.name for path in Path(made).iterdir()] == ["target"]


def is_taken_away(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def test_what_a_layer_takes_away_is_marked_as_overlay_marks_it(target: Path) -> None:
    unpacked(file(b"d/.wh.gone", b"") + folder(b"o") + file(b"o/.wh..wh..opq", b"") + file(b"o/new") + END, target)
    assert is_taken_away(target / "d" / "gone")
    assert [is_opaque(target / name) for name in ("d", "o", "absent")] == [False, True, False]
    assert (target / "o" / "new").read_bytes() == b"data"


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_leaves_what_its_own_layer_has(target: Path, order: int) -> None:
    whiteouts = [file(b".wh.f", b""), file(b".wh.d", b""), file(b".wh.l", b"")]
    own = [file(b"f"), folder(b"d") + file(b"d/f"), symlink(b"l", b"f")]
    unpacked(b"".join(part for pair in zip(whiteouts, own, strict=True) for part in pair[::order]) + END, target)
    assert (target / "f").read_bytes() == (target / "d" / "f").read_bytes() == (target / "l").read_bytes() == b"data"
    assert is_opaque(target / "d"), "what is below the folder's place is gone all the same"
