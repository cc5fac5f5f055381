from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.debs import EVIL, MEMBERS
from tiffin.errors import IntegrityError, TiffinError, UnsupportedError
from tiffin.layers.deb import Deb, merged, open_deb, opened, read_stanza
from tiffin.layers.entry import Entry, Kind
from unit.packages.debian.makers import PACKERS, folder, make_ar, make_deb, make_tar, member, symlink

Found = list[tuple[str, str, int, str | bytes]]

EXPECTED = [
    ("usr", "directory", 0o755, ""),
    ("usr/bin", "directory", 0o755, ""),
    ("usr/bin/hallo", "file", 0o755, b"#!/bin/sh\n"),
    ("usr/bin/hello", "file", 0o755, b"#!/bin/sh\n"),
    ("usr/bin/hi", "symlink", 0o777, "hello"),
    ("usr/lib/x86_64-linux-gnu/libx.so.1", "file", 0o644, b"\x7fELF" * 5000),
    ("usr/share/doc/hello/copyright", "file", 0o644, b"GPL"),
]


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    with entry.open() as stream:
        data = stream.read()
        assert stream.read() == b""
    assert len(data) == entry.size
    return data


def shown(deb: Deb) -> Found:
    return [(e.path, e.kind.value, e.mode, content(e) if e.kind is Kind.FILE else e.link) for e in deb.entries]


def read(tmp_path: Path, data: bytes) -> Found:
    path = tmp_path / "hello_1.0-1_amd64.deb"
    path.write_bytes(data)
    with opened([path], tmp_path) as (deb,):
        return shown(deb)


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_package_is_its_files_with_plain_modes_in_a_merged_usr(tmp_path: Path, suffix: str) -> None:
    assert read(tmp_path, make_deb(MEMBERS, suffix=suffix)) == EXPECTED


def test_what_a_package_says_of_itself_is_read(tmp_path: Path) -> None:
    data = make_deb(MEMBERS, scripts={"postinst": "#!/bin/sh\n", "prerm": "x"}, control="Description: a\n b\n")
    (tmp_path / "x.deb").write_bytes(data)
    with opened([tmp_path / "x.deb"]) as (deb,):
        assert (deb.name, deb.architecture, deb.fields["Version"]) == ("hello", "amd64", "1.0-1")
        assert deb.fields["Description"] == "a\n b"
        assert deb.scripts == {"postinst": "#!/bin/sh\n"}
        assert "usr/bin/hello\n" in deb.md5sums


def test_nothing_is_left_behind_when_the_context_ends(tmp_path: Path) -> None:
    read(tmp_path, make_deb(MEMBERS))
    assert [path.name for path in tmp_path.iterdir()] == ["hello_1.0-1_amd64.deb"]


def test_members_that_dpkg_passes_over_are_passed_over(tmp_path: Path) -> None:
    tar = make_tar([member("./control", b"Package: x\n")])
    parts = [
        ("debian-binary", b"2.1\nx"),
        ("_extra", b"1"),
        ("control.tar", tar),
        ("data.tar", make_tar([folder("./")])),
    ]
    assert read(tmp_path, make_ar([*parts, ("later", b"2")])) == []


def test_long_names_and_large_numbers_are_read(tmp_path: Path) -> None:
    long = "usr/share/" + "x" * 200 + "/" + "é" * 100
    found = read(tmp_path, make_deb([member(long, b"1", uid=1 << 30), symlink("usr/l", "y" * 150)]))
    assert [entry[0] for entry in found] == ["usr/l", long]
    assert found[0][3] == "y" * 150


def test_ustar_prefixes_are_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a/" * 60 + "b")
    tar = info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    parts = [("debian-binary", b"2.0\n"), ("control.tar", make_tar([member("./control", b"Package: x\n")]))]
    assert read(tmp_path, make_ar([*parts, ("data.tar", tar)]))[0][0] == "a/" * 60 + "b"


@pytest.mark.parametrize("what", EVIL)
def test_a_package_with_something_evil_is_refused(tmp_path: Path, what: str) -> None:
    evil, message = EVIL[what]
    with pytest.raises((IntegrityError, UnsupportedError), match=message) as caught:
        read(tmp_path, make_deb([*MEMBERS, evil]))
    assert "hello_1.0-1_amd64.deb" in str(caught.value)


def test_nothing_is_spooled_under_a_name_that_a_killed_process_would_leave_behind(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(make_deb(MEMBERS))
    (tmp_path / "spool").mkdir()
    with opened([tmp_path / "x.deb"], tmp_path / "spool"):
        assert not list((tmp_path / "spool").iterdir())


HARMLESS: dict[str, Any] = {
    "a name without a dot": member("etc/passwd2", b"x"),
    "dots inside of a name": member("./usr/share/a..b", b"x"),
    "a link upwards that stays inside": symlink("./usr/share/x", "../../etc"),
    "an absolute link": symlink("./x", "/etc"),
    "a hard link to a file": member("./x", type=tarfile.LNKTYPE, linkname="usr/bin/hello"),
    "a directory twice": folder("./bin/"),
    "a file below a directory": member("./usr/bin/there", b""),
    "a name that nearly deletes": member("./usr/wh.bin", b""),
    "a long name": member("./" + "x" * 255, b""),
    "text that is not ASCII": member("./é", b""),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_a_package_with_its_harmless_twin_is_taken(tmp_path: Path, what: str) -> None:
    assert len(read(tmp_path, make_deb([*MEMBERS, HARMLESS[what]]))) >= len(EXPECTED)


def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.layers.deb.DATA_LIMIT", 1 << 20)
    assert read(tmp_path, make_deb([member("./x", bytes(1 << 19))]))
    with pytest.raises(IntegrityError, match=r"'data.tar.xz' unpacks to more than 1048576 bytes"):
        read(tmp_path, make_deb([member("./x", bytes(1 << 21))]))


def test_a_size_beyond_the_end_is_a_truncation(tmp_path: Path) -> None:
    info, _ = member("./x")
    info.size = 1 << 40
    tar = info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    parts = [("debian-binary", b"2.0\n"), ("control.tar", make_tar([member("./control", b"Package: x\n")]))]
    with pytest.raises(IntegrityError, match=r"truncated in '\./x'"):
        read(tmp_path, make_ar([*parts, ("data.tar", tar)]))


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_truncated_package_is_refused_wherever_it_ends(tmp_path: Path, suffix: str) -> None:
    whole = make_deb(MEMBERS, suffix=suffix)
    for length in {*range(0, len(whole), len(whole) // 200), *range(150), len(whole) - 1}:
        with pytest.raises(IntegrityError, match=r"hello_1\.0-1_amd64\.deb"):
            read(tmp_path, whole[:length])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(PACKERS)), st.data())
def test_a_tampered_package_is_refused_or_says_the_same(suffix: str, data: st.DataObject) -> None:
    whole = make_deb(MEMBERS, suffix=suffix)
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:position] + bytes([whole[position] ^ data.draw(st.integers(1, 255))]) + whole[position + 1 :]
    with tempfile.TemporaryDirectory() as place:
        try:
            found = read(Path(place), changed)
        except TiffinError:
            return
    if suffix:  # without compression there are no checksums of the content
        assert found == EXPECTED


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"!<arch>\n", make_deb(MEMBERS)[:132]]))
def test_noise_is_refused(noise: bytes, start: bytes) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.raises(IntegrityError):
        read(Path(place), start + noise)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("control.tar", b"")], "debian-binary"),
        ([("debian-binary", b"3.0\n")], "format 2"),
        ([("debian-binary", b"2.0\n")], "before `data.tar`"),
        ([("debian-binary", b"2.0\n"), ("data.tar", b"")], "does not belong"),
        ([("debian-binary", b"2.0\n"), ("control.tar", b""), ("control.tar", b"")], "does not belong"),
        ([("debian-binary", b"2.0\n"), ("evil", b"")], "does not belong"),
        ([("debian-binary", b"2.0\n"), ("control.tar", make_tar([])), ("data.tar", make_tar([]))], "which package"),
    ],
)
def test_an_archive_that_is_no_package_is_refused(tmp_path: Path, parts: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        read(tmp_path, make_ar(parts))


@pytest.mark.parametrize("suffix", [".bz2", ".lzma", ".zst"])
def test_a_compression_that_cannot_be_undone_is_named(tmp_path: Path, suffix: str) -> None:
    parts = [("debian-binary", b"2.0\n"), (f"control.tar{suffix}", b"x"), ("data.tar", make_tar([]))]
    with pytest.raises((UnsupportedError, IntegrityError), match=rf"control\.tar\{suffix}"):
        read(tmp_path, make_ar(parts))


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_what_comes_after_the_end_of_a_compression_is_refused(tmp_path: Path, suffix: str) -> None:
    control = PACKERS[suffix](make_tar([member("./control", b"Package: x\n")]))
    for more in (b"evil", bytes(2 << 20)):
        parts = [("debian-binary", b"2.0\n"), (f"control.tar{suffix}", control + more), ("data.tar", make_tar([]))]
        with pytest.raises(IntegrityError, match="goes on after its end"):
            read(tmp_path, make_ar(parts))


def test_big_files_come_out_whole(tmp_path: Path) -> None:
    big = bytes(range(256)) * 20_000
    (tmp_path / "x.deb").write_bytes(make_deb([member("./big", big), member("./small", b"s")], suffix=".gz"))
    with tempfile.TemporaryFile() as spool:
        deb = open_deb(tmp_path / "x.deb", spool)
        assert [content(entry) for entry in deb.entries] == [big, b"s"]
        first = deb.entries[0].open
        assert first is not None
        with first() as stream, first() as again:
            assert stream.read(10) + again.read(10) + stream.read(10) == big[:10] + big[:20]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("lib/x", "usr/lib/x"),
        ("lib64", "usr/lib64"),
        ("usr/lib/x", "usr/lib/x"),
        ("library/x", "library/x"),
        ("var/run/x", "run/x"),
        ("var/lock", "run/lock"),
        ("var/running", "var/running"),
    ],
)
def test_paths_are_where_the_links_of_a_merged_root_lead(path: str, place: str) -> None:
    assert merged(path) == place


def test_the_links_of_a_merged_root_in_a_package_are_directories(tmp_path: Path) -> None:
    found = read(tmp_path, make_deb([symlink("./bin", "usr/bin"), member("./bin/x", b"")]))
    assert [entry[:2] for entry in found] == [("usr/bin", "directory"), ("usr/bin/x", "file")]


def test_a_stanza_keeps_its_continuation_lines() -> None:
    assert read_stanza("A: 1\nB:\n one\n\ttwo\n# c\nC:3\n") == {"A": "1", "B": "\n one\n\ttwo", "C": "3"}
