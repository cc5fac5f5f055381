from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import IntegrityError
from tiffin.layers.elf import AARCH64, X86_64, Elf, Wanted, read_elf
from unit.layers.elves import elf_file


def read(data: bytes, stem: str = "") -> Elf | None:
    return read_elf(lambda offset, size: data[offset : offset + size], stem)


def test_everything_the_linker_reads_is_read() -> None:
    data = elf_file(
        needed=["liba.so.1", "libc.so.6"],
        soname="libme.so.2",
        runpath="$ORIGIN/../me.libs:$ORIGIN",
        wanted={"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34"], "liba.so.1": ["A_1"]},
        brings=["ME_1", "ME_2"],
    )
    assert read(data) == Elf(
        machine=X86_64,
        soname="libme.so.2",
        needed=("liba.so.1", "libc.so.6"),
        runpath=("$ORIGIN/../me.libs", "$ORIGIN"),
        wanted=(
            Wanted("liba.so.1", "A_1"),
            Wanted("libc.so.6", "GLIBC_2.2.5"),
            Wanted("libc.so.6", "GLIBC_2.34"),
        ),
        brings=("ME_1", "ME_2"),
    )


def test_a_version_that_is_only_wished_for_is_not_wanted() -> None:
    found = read(elf_file(wanted={"libc.so.6": ["GLIBC_2.36", "GLIBC_ABI_DT_RELR"]}, weak=["GLIBC_2.36"]))
    assert found
    assert found.wanted == (Wanted("libc.so.6", "GLIBC_ABI_DT_RELR"),)


def test_a_python_module_is_known_by_its_entry_point() -> None:
    data = elf_file(symbols=["PyInit__speed"])
    assert [bool(found and found.module) for found in (read(data, "_speed"), read(data, "speed"))] == [True, False]


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\n" * 20, bytes(200), b"\x7fELF\x01" + bytes(100)])
def test_what_is_no_elf_file_of_ours_is_nothing(data: bytes) -> None:
    assert read(data) is None


def test_other_machines_are_read_too() -> None:
    found = read(elf_file(machine=AARCH64))
    assert found
    assert found.machine == AARCH64


def test_a_file_cut_off_anywhere_is_refused_or_nothing() -> None:
    data = elf_file(needed=["liba.so.1"], wanted={"liba.so.1": ["A_1"]}, brings=["B_1"])
    for size in range(len(data)):
        with contextlib.suppress(IntegrityError):
            assert read(data[:size]) is None


@given(st.data())
def test_damaged_files_are_read_or_refused(draw: st.DataObject) -> None:
    data = bytearray(
        elf_file(needed=["liba.so.1"], runpath="/x", wanted={"liba.so.1": ["A_1", "A_2"]}, brings=["B_1", "B_2"])
    )
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(data) - 8))
        width = draw.draw(st.sampled_from([1, 2, 4, 8]))
        data[at : at + width] = draw.draw(st.binary(min_size=width, max_size=width))
    reads = []

    def read_at(offset: int, size: int) -> bytes:
        reads.append(size)
        return bytes(data[offset : offset + size])

    with contextlib.suppress(IntegrityError):
        read_elf(read_at, "x")
    assert len(reads) < 50_000


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_read_or_refused(rest: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        read(b"\x7fELF\x02\x01\x01" + rest, "x")


@pytest.mark.program("gcc")
def test_what_a_compiler_makes_is_read(tmp_path: Path) -> None:
    (tmp_path / "me.c").write_text('#include <stdio.h>\nint PyInit_me(void) { return puts(""); }\n')
    (tmp_path / "me.map").write_text("ME_1 { global: *; };\n")
    target = tmp_path / "me.abi3.so"
    linker = ["-Wl,-soname,libme.so.1", "-Wl,-rpath,$ORIGIN/libs", f"-Wl,--version-script={tmp_path}/me.map"]
    subprocess.run(["gcc", "-shared", "-fPIC", *linker, "-o", target, tmp_path / "me.c"], check=True)
    found = read(target.read_bytes(), "me")
    assert found
    assert (found.soname, found.needed, found.brings, found.module) == ("libme.so.1", ("libc.so.6",), ("ME_1",), True)
    assert (*found.rpath, *found.runpath) == ("$ORIGIN/libs",)
    assert found.wanted[0].library == "libc.so.6"
