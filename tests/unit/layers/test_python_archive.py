"""An interpreter out of an archive: what it is must be what was wanted, and nothing leads out of it."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, IntegrityError, TiffinError, UnsupportedError
from tiffin.layers.python_archive import archived_python

ELF = b"\x7fELF\x02\x01\x01" + bytes(11) + (62).to_bytes(2, "little") + bytes(44)
Files = dict[str, bytes | str]
"""Paths: content, or the text of a link, a hard one where it begins with an equals sign."""

GOOD: Files = {
    "python/bin/python3.12": ELF,
    "python/bin/python3": "python3.12",
    "python/bin/python": "=python/bin/python3.12",
    "python/lib/python3.12/os.py": b"import sys\n",
    "python/lib/python3.12/__pycache__/os.cpython-312.pyc": b"x",
    "python/lib/python3.12/test/test_os.py": b"x",
    "python/lib/python3.12/site-packages/pip/__init__.py": b"x",
    "python/lib/libpython3.12.a": b"x",
    "python/lib/libpython3.12.so": "./libpython3.12.so.1.0",
    "python/lib/libpython3.12.so.1.0": ELF,
}


def pack(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, what in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755 if "/bin/" in name else 0o644
            if isinstance(what, bytes):
                member.size = len(what)
            else:
                member.type = tarfile.LNKTYPE if what.startswith("=") else tarfile.SYMTYPE
                member.linkname = what.removeprefix("=")
            archive.addfile(member, io.BytesIO(what if isinstance(what, bytes) else b""))
    return path


def test_an_interpreter_comes_out_without_what_no_image_needs(tmp_path: Path) -> None:
    with archived_python(pack(tmp_path / "p.tar.gz", GOOD), "3.12", "x86_64") as entries:
        found = {entry.path: entry for entry in entries}
        assert sorted(found) == [
            "opt/python/bin/python",
            "opt/python/bin/python3",
            "opt/python/bin/python3.12",
            "opt/python/lib/libpython3.12.so",
            "opt/python/lib/libpython3.12.so.1.0",
            "opt/python/lib/python3.12/os.py",
        ]
        assert found["opt/python/bin/python3"].link == "python3.12"
        program = found["opt/python/bin/python"]
        assert program.open
        assert program.mode == 0o755
        with program.open() as stream:
            assert stream.read() == ELF


REFUSED: dict[str, tuple[Files, type[TiffinError], str]] = {
    "another Python": ({"python/bin/python3.13": ELF}, ConfigError, r"has python3\.13, and the image has Python 3\.12"),
    "no Python": ({"python/lib/x": b""}, ConfigError, "has no Python"),
    "another machine": ({"python/bin/python3.12": ELF[:18] + b"\xb7\0" + ELF[20:]}, ConfigError, "is not for x86_64"),
    "a script": ({"python/bin/python3.12": b"#!/bin/sh"}, ConfigError, "is not for x86_64"),
    "musl": ({"python/bin/python3.12": ELF + b"/lib/ld-musl-x86_64.so.1\0"}, UnsupportedError, "built on musl"),
    "another folder": ({"install/bin/python3.12": ELF}, UnsupportedError, "not in the folder python"),
    "a path that leads out": ({"python/../../x": b""}, IntegrityError, "outside of the archive"),
    "an absolute path": ({"/etc/passwd": b""}, IntegrityError, "outside of the archive"),
    "a link that leads out": (GOOD | {"python/etc": "../../etc"}, IntegrityError, "leads out of the interpreter"),
    "an absolute link": (GOOD | {"python/etc": "/etc"}, IntegrityError, "leads out of the interpreter"),
    "a hard link out": (GOOD | {"python/x": "=etc/passwd"}, UnsupportedError, "not in the folder python"),
    "a hard link to nothing": (GOOD | {"python/x": "=python/y"}, IntegrityError, "no earlier file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_wanted_interpreter_is_refused(name: str, tmp_path: Path) -> None:
    files, error, message = REFUSED[name]
    with pytest.raises(error, match=message), archived_python(pack(tmp_path / "p.tar.gz", files), "3.12", "x86_64"):
        pass


def test_other_forms_and_damaged_archives_are_named(tmp_path: Path) -> None:
    good = pack(tmp_path / "p.tar.gz", GOOD).read_bytes()
    (tmp_path / "p.tar.zst").write_bytes(good)
    with pytest.raises(UnsupportedError, match=r"p\.tar\.zst is no \.tar\.gz") as caught:
        archived_python(tmp_path / "p.tar.zst", "3.12", "x86_64").__enter__()
    assert "install_only" in (caught.value.hint or "")
    tar = gzip.decompress(good)
    for name, data in {"cut": good[:-40], "odd": b"hello" * 200, "half": gzip.compress(tar[:700])}.items():
        (tmp_path / f"{name}.tar.gz").write_bytes(data)
        with pytest.raises(IntegrityError), archived_python(tmp_path / f"{name}.tar.gz", "3.12", "x86_64"):
            pass
