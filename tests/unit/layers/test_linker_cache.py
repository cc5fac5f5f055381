"""The dynamic linker's cache is read as glibc wrote it, and glibc reads what is written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import IntegrityError
from tiffin.layers.elf import AARCH64, X86_64
from tiffin.layers.linker_cache import Cached, cached, read_cache, with_libraries, write_cache

NAMES = st.text(st.sampled_from("abcd.019-_+"), min_size=1, max_size=12)
LIBRARY = st.builds(Cached, name=NAMES, path=NAMES.map("/lib/{}".format), flags=st.sampled_from([0x303, 0xA03, 3]))
DEBIAN = Path("/etc/ld.so.cache")
LDCONFIG = shutil.which("ldconfig", path="/usr/sbin:/sbin") or "ldconfig"


@given(st.lists(LIBRARY, max_size=20))
def test_what_is_written_is_read(libraries: list[Cached]) -> None:
    read = read_cache(write_cache(libraries))
    assert sorted(read, key=repr) == sorted(libraries, key=repr)


@pytest.mark.skipif(not DEBIAN.is_file(), reason="needs ldconfig")
def test_the_order_is_glibcs_own() -> None:
    data = DEBIAN.read_bytes()
    assert [one.name for one in read_cache(write_cache(read_cache(data)))] == [one.name for one in read_cache(data)]


@pytest.mark.program("ldconfig")
def test_ldconfig_reads_what_is_written(tmp_path: Path) -> None:
    one = cached("libdriver.so.1", "/opt/driver/libdriver.so.1", X86_64)
    assert one
    (tmp_path / "cache").write_bytes(with_libraries(b"", [one]))
    said = subprocess.run(
        [LDCONFIG, "-p", "-C", str(tmp_path / "cache")], capture_output=True, text=True, check=True
    ).stdout
    assert "libdriver.so.1 (libc6,x86-64) => /opt/driver/libdriver.so.1" in said


def test_what_is_added_takes_the_place_of_its_name_and_of_nothing_else() -> None:
    old = [
        Cached(name="libcuda.so.1", path="/usr/lib/stubs/libcuda.so.1", flags=0x303),
        Cached(name="libcuda.so.1", path="/usr/lib32/libcuda.so.1", flags=3),
        Cached(name="libz.so.1", path="/lib/libz.so.1", flags=0x303),
    ]
    new = cached("libcuda.so.1", "/driver/libcuda.so.1", X86_64)
    assert new
    found = {(one.name, one.flags): one.path for one in read_cache(with_libraries(write_cache(old), [new]))}
    assert found == {
        ("libcuda.so.1", 0x303): "/driver/libcuda.so.1",
        ("libcuda.so.1", 3): "/usr/lib32/libcuda.so.1",
        ("libz.so.1", 0x303): "/lib/libz.so.1",
    }


def test_a_cache_after_one_of_the_older_format_is_read() -> None:
    libraries = [Cached(name="liba.so", path="/a", flags=0x303)]
    assert read_cache(b"ld.so-1.7.0\0" + b"\0" * 12 + write_cache(libraries)) == libraries


def test_a_machine_without_such_a_cache_has_no_entry() -> None:
    assert cached("a", "/a", 8) is None
    assert cached("a", "/a", AARCH64)


@pytest.mark.parametrize("cut", [0, 10, 47, 60, 75])
def test_a_cache_that_is_cut_off_is_refused(cut: int) -> None:
    data = write_cache([Cached(name="liba.so", path="/a", flags=0x303)])
    with pytest.raises(IntegrityError):
        read_cache(data[:cut])
