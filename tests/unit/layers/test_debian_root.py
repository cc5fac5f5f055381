from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiffin.errors import ConflictError, UnsupportedError
from tiffin.layers.deb import Deb, opened
from tiffin.layers.debian_files import LeftOut, file_rules, leave_out
from tiffin.layers.debian_root import base_entries, package_entries, text_entry
from tiffin.layers.entry import Entry, Kind
from unit.packages.debian.makers import folder, make_deb, member, symlink

LIBC = make_deb(
    [
        folder("./"),
        folder("./lib64/"),
        folder("./var/spool/"),
        folder("./usr/"),
        folder("./usr/share/doc/libc6/"),
        member("./lib/x86_64-linux-gnu/libc.so.6", b"libc", mode=0o755),
        symlink("./lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        member("./etc/ld.so.conf.d/x86_64-linux-gnu.conf", b"/lib"),
        member("./usr/share/doc/libc6/copyright", b"LGPL"),
        member("./usr/share/doc/libc6/changelog.gz", b"long"),
        member("./usr/share/man/man1/x.1.gz", b"page"),
    ],
    name="libc6",
)
AUTHORITIES = make_deb(
    [
        member("./usr/share/ca-certificates/mozilla/B.crt", b"-----B-----\n"),
        member("./usr/share/ca-certificates/mozilla/A.crt", b"-----A-----"),
        member("./usr/share/doc/ca-certificates/copyright", b"MPL"),
    ],
    name="ca-certificates",
)


@contextmanager
def debs(tmp_path: Path, *packages: bytes) -> Iterator[list[Deb]]:
    paths = [tmp_path / f"{number}.deb" for number in range(len(packages))]
    for path, data in zip(paths, packages, strict=True):
        path.write_bytes(data)
    with opened(paths, tmp_path) as found:
        yield found


def table(entries: list[Entry]) -> dict[str, tuple[Kind, int, str | bytes]]:
    return {entry.path: (entry.kind, entry.mode, text(entry)) for entry in entries}


def text(entry: Entry) -> str | bytes:
    if entry.open is None:
        return entry.link
    with entry.open() as stream:
        return stream.read()


def test_the_base_has_what_the_installer_would_have_made(tmp_path: Path) -> None:
    with debs(tmp_path, LIBC, AUTHORITIES) as found:
        made = table(base_entries(found))
    assert made["lib"] == (Kind.SYMLINK, 0o777, "usr/lib")
    assert made["lib64"] == (Kind.SYMLINK, 0o777, "usr/lib64")
    assert made["tmp"] == (Kind.DIRECTORY, 0o1777, "")
    assert made["proc"][0] is Kind.DIRECTORY
    assert b"tiffin:x:65532:65532:" in made["etc/passwd"][2]
    assert made["etc/ssl/certs/ca-certificates.crt"][2] == b"-----A-----\n-----B-----\n"
    assert made["usr/lib/ssl/cert.pem"][2] == "/etc/ssl/certs/ca-certificates.crt"
    assert made["usr/lib/x86_64-linux-gnu/libc.so.6"] == (Kind.FILE, 0o755, b"libc")
    assert "var/lib/dpkg/status.d/libc6" in made
    assert not [path for path in made if path.startswith("usr/share/ca-certificates/")]


def test_machines_without_lib64_have_no_such_link(tmp_path: Path) -> None:
    with debs(tmp_path, AUTHORITIES) as found:
        assert "lib64" not in table(base_entries(found))


def test_documentation_goes_and_licences_stay(tmp_path: Path) -> None:
    with debs(tmp_path, LIBC) as found:
        slim = table(package_entries(found))
        whole = table(package_entries(found, slim=False))
    assert "usr/share/doc/libc6/copyright" in slim
    assert whole.keys() - slim.keys() == {"usr/share/doc/libc6/changelog.gz", "usr/share/man/man1/x.1.gz"}


def test_scanners_find_each_package_and_the_sums_of_what_is_there(tmp_path: Path) -> None:
    with debs(tmp_path, LIBC) as found:
        made = table(package_entries(found))
    assert made["var/lib/dpkg/status.d/libc6"][2].startswith(b"Package: libc6\nVersion: 1.0-1\n")
    sums = made["var/lib/dpkg/status.d/libc6.md5sums"][2].decode().splitlines()
    assert [line.split("  ")[1] for line in sums] == [
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "etc/ld.so.conf.d/x86_64-linux-gnu.conf",
        "usr/share/doc/libc6/copyright",
    ]


def test_entries_are_sorted_and_do_not_depend_on_the_order_of_the_packages(tmp_path: Path) -> None:
    packages = [LIBC, AUTHORITIES, make_deb([member("./usr/bin/x", b"")], name="x")]
    with debs(tmp_path, *packages) as found:
        first = base_entries(found)
        assert table(base_entries(found[::-1])) == table(first)
    paths = [entry.path.encode() for entry in first]
    assert paths == sorted(set(paths))


def test_only_directories_that_nothing_implies_are_there(tmp_path: Path) -> None:
    with debs(tmp_path, LIBC) as found:
        made = package_entries(found)
    assert [entry.path for entry in made if entry.kind is Kind.DIRECTORY] == ["var/spool"]


def test_two_packages_with_one_file_are_refused(tmp_path: Path) -> None:
    packages = [make_deb([member("./usr/bin/x", name.encode())], name=name) for name in ("one", "two")]
    with debs(tmp_path, *packages) as found, pytest.raises(ConflictError, match="one and two both have /usr/bin/x"):
        package_entries(found)


def alternative(name: str, priority: int) -> bytes:
    script = f"#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/editor editor /bin/{name} {priority}\n"
    return make_deb([member(f"./bin/{name}", b"")], name=name, scripts={"postinst": script})


def test_the_alternative_with_the_highest_priority_is_linked(tmp_path: Path) -> None:
    with debs(tmp_path, alternative("vim", 30), alternative("nano", 40), alternative("ed", 40)) as found:
        made = table(package_entries(found))
    assert made["usr/bin/editor"][2] == "/etc/alternatives/editor"
    assert made["etc/alternatives/editor"][2] == "/bin/ed"


def test_an_alternative_that_was_left_out_is_not_linked(tmp_path: Path) -> None:
    script = "update-alternatives --install /usr/share/man/man1/a a /usr/share/man/man1/b 1\n"
    with debs(tmp_path, make_deb([member("./usr/share/man/man1/b", b"")], scripts={"postinst": script})) as found:
        assert not [entry.path for entry in package_entries(found) if "man1" in entry.path]


def test_bash_is_the_shell_where_there_is_no_other(tmp_path: Path) -> None:
    bash = make_deb([member("./bin/bash", b"", mode=0o755)], name="bash")
    dash = make_deb([member("./bin/dash", b""), symlink("./bin/sh", "dash")], name="dash")
    with debs(tmp_path, bash) as found:
        assert table(package_entries(found))["usr/bin/sh"][2] == "bash"
    with debs(tmp_path, bash, dash) as found:
        assert table(package_entries(found))["usr/bin/sh"][2] == "dash"


def test_a_package_whose_script_does_more_is_refused_by_name(tmp_path: Path) -> None:
    evil = make_deb([member("./usr/bin/x", b"")], name="evil", scripts={"postinst": "useradd x\n"})
    with debs(tmp_path, LIBC, evil) as found, pytest.raises(UnsupportedError, match="the package evil"):
        package_entries(found)


def test_a_package_that_needs_a_cache_of_the_linker_is_refused(tmp_path: Path) -> None:
    odd = make_deb([member("./etc/ld.so.conf.d/odd.conf", b"/opt/odd")], name="odd")
    with debs(tmp_path, odd) as found, pytest.raises(UnsupportedError, match="the package odd has libraries"):
        package_entries(found)


def test_rules_keep_what_they_say_and_links_to_licences() -> None:
    entries = [
        text_entry("usr/share/doc/x/copyright", ""),
        text_entry("usr/share/doc/x/NEWS", ""),
        Entry.symlink("usr/share/doc/y", "x"),
        text_entry("usr/lib/python3.11/lib-dynload/nis.cpython-311-x86_64-linux-gnu.so", ""),
    ]
    kept = [entry.path for entry in leave_out(entries, file_rules())]
    assert kept == ["usr/share/doc/x/copyright", "usr/share/doc/y"]
    assert len(leave_out(entries, file_rules(), slim=False)) == 3
    assert leave_out(entries, [LeftOut(paths=(), reason="nothing")]) == entries


def test_every_rule_has_a_reason() -> None:
    assert all(rule.reason for rule in file_rules())
