"""One tar for one folder, which says what is in it and nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConflictError, IntegrityError, NotFoundError, UnsupportedError
from tiffin.layers.entry import MTIME, Entry
from tiffin.layers.tar import END, header
from tiffin.oci.digest import Digest
from tiffin.pipeline.keeping.folders import check, digest_of, leaves, look, pour, unpack

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda name: name not in {".", ".."}
)
TREES = st.recursive(
    st.binary(max_size=700), lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))
Tree = Mapping[str, "Tree | bytes"]


def write(path: Path, tree: Tree | bytes) -> None:
    if isinstance(tree, bytes):
        path.write_bytes(tree)
        return
    path.mkdir()
    for name, below in tree.items():
        write(path / name, below)


def read(path: Path) -> Tree | bytes:
    return {below.name: read(below) for below in path.iterdir()} if path.is_dir() else path.read_bytes()


def tar_of(path: Path) -> bytes:
    out = io.BytesIO()
    pour(look(path), out.write)
    return out.getvalue()


@given(tree=TREES)
def test_a_folder_comes_back_as_it_was_and_is_the_same_tar_again(tree: Tree) -> None:
    with TemporaryDirectory() as scratch:
        write(Path(scratch) / "one", tree)
        data = tar_of(Path(scratch) / "one")
        assert look(Path(scratch) / "one").size == len(data)
        assert digest_of(look(Path(scratch) / "one")) == Digest.of(data)
        check(io.BytesIO(data), len(data))
        two = Path(scratch) / "two"
        two.mkdir()
        assert unpack(io.BytesIO(data), len(data), two) == Digest.of(data)
        assert read(two) == tree
        assert tar_of(two) == data


def test_the_tar_is_one_that_tar_itself_reads(tmp_path: Path) -> None:
    write(tmp_path / "folder", {"b": b"2", "a": {"c": b"1"}, "a.b": b""})
    (tmp_path / "folder" / "b").chmod(0o711)
    (tmp_path / "folder" / "link").symlink_to("a/c")
    data = tar_of(tmp_path / "folder")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == ["a", "a/c", "a.b", "b", "link"]
    assert [member.mode for member in members] == [0o755, 0o644, 0o644, 0o755, 0o777]
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", MTIME)}
    done = subprocess.run(["tar", "-tf", "-"], input=data, capture_output=True, check=True)
    assert done.stdout == b"a/\na/c\na.b\nb\nlink\n"


@pytest.mark.parametrize(
    ("links", "out"),
    [
        ({"a": "b"}, False),
        ({"a": "a"}, False),
        ({"a": "/b"}, True),
        ({"a": ".."}, True),
        ({"a": "b/../.."}, True),
        ({"d/a": ".."}, False),
        ({"d/a": "../.."}, True),
        ({"a": "b/..", "b": "d/e"}, False),
        ({"d/a": "b/../x", "d/b": ".."}, True),
        ({"a": "b/x", "b": "/etc"}, True),
        ({"a": "b", "b": "a"}, False),
        ({"a": "./b//c"}, False),
    ],
)
def test_a_link_leaves_where_any_step_of_its_way_does(links: dict[str, str], out: object) -> None:
    assert leaves(next(iter(links)), links) is out


def member(entry: Entry, data: bytes = b"") -> bytes:
    return header(entry) + data + bytes(-len(data) % 512)


def hard_link() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("a")
        info.type, info.linkname = tarfile.LNKTYPE, "b"
        tar.addfile(info)
    return out.getvalue()


BAD = {
    "absolute": member(Entry.of("/etc/x", b"")),
    "up": member(Entry.directory("..")),
    "up below": member(Entry.directory("a")) + member(Entry.of("a/../../x", b"")),
    "twice": member(Entry.of("a", b"")) * 2,
    "not sorted": member(Entry.of("b", b"")) + member(Entry.of("a", b"")),
    "without its folder": member(Entry.of("a/b", b"")),
    "through a link": member(Entry.symlink("a", "b")) + member(Entry.of("a/x", b"")),
    "a link out": member(Entry.symlink("a", "../x")),
    "a link away": member(Entry.symlink("a", "/etc")),
    "a hard link": hard_link(),
    "damaged": b"?" * 512,
}


@pytest.mark.parametrize("name", BAD)
def test_a_tar_that_leads_out_of_its_folder_or_is_none_of_ours_is_refused(name: str, tmp_path: Path) -> None:
    data, target = BAD[name] + END, tmp_path / "target"
    target.mkdir()
    with pytest.raises(IntegrityError):
        check(io.BytesIO(data), len(data))
    with pytest.raises(IntegrityError):
        unpack(io.BytesIO(data), len(data), target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_tar_with_owners_and_times_of_its_own_is_not_the_one_of_its_folder() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(IntegrityError, match="of its own"):
        check(io.BytesIO(out.getvalue()), len(out.getvalue()))


def test_what_is_deeper_than_any_folder_is_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(205):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(UnsupportedError, match="deeper than 200 folders"):
        look(tmp_path / "d")


def test_a_name_that_is_no_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / os.fsdecode(b"\xff")).touch()
    with pytest.raises(UnsupportedError, match=r"udcff.* is no UTF-8"):
        look(tmp_path / "d")


def test_what_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write(path, {"a": b"1" * 100, "b": b"2"})

    def grow(_: bytes) -> None:
        with (path / "b").open("ab") as file:
            file.write(b"!")

    with pytest.raises(ConflictError, match="b changed while it was read"):
        pour(look(path), grow)

    def vanish(_: bytes) -> None:
        (path / "b").unlink(missing_ok=True)

    with pytest.raises(ConflictError, match="b changed while it was read"):
        pour(look(path), vanish)


def test_a_file_that_appears_while_a_folder_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write(path, {"a": b"1"})
    with pytest.raises(ConflictError, match="folder changed while it was read"):
        digest_of(look(path), lambda _: (path / "new").touch())


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere is not there"):
        look(tmp_path / "nowhere")
