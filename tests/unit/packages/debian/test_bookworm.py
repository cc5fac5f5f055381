"""The real thing: Debian 12 and its Python from a real mirror, unpacked and run."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tiffin.errors import ConfigError, UnavailableError
from tiffin.layers.deb import opened
from tiffin.layers.debian_root import base_entries, package_entries
from tiffin.layers.entry import Entry, Kind
from tiffin.oci.digest import Digest
from tiffin.packages.debian.debian import Debian
from tiffin.packages.debian.pins import BasePins, Wanted
from tiffin.packages.debian.sources import find_mirrors
from tiffin.packages.pins import DebPin

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="needs x86_64"),
]

Found = list[tuple[str, str, int, str]]

MODULES = "ssl, sqlite3, ctypes, lzma, bz2, hashlib, json, socket, uuid, decimal, zoneinfo, readline, curses, asyncio"
EVERY_EXTENSION = """
import importlib, pathlib, sysconfig
folder = pathlib.Path(sysconfig.get_path("stdlib")) / "lib-dynload"
names = [path.name.partition(".")[0] for path in folder.iterdir()]
assert len(names) > 30, names
for name in names:
    importlib.import_module(name)
"""
WHOLE_SYSTEM = """
import pwd, socket, ssl, sys, zoneinfo
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
assert pwd.getpwuid(65532).pw_name == "tiffin"
assert socket.getservbyname("https") == 443
assert zoneinfo.ZoneInfo("Europe/Zurich").utcoffset(None) is None
assert "SHA3_256" in {name.upper() for name in __import__("hashlib").algorithms_available}
print(sys.version)
"""


class Bookworm(msgspec.Struct, frozen=True, kw_only=True):
    """What was resolved, what it came to, and where it was unpacked."""

    debian: Debian
    pins: BasePins
    base: Found
    interpreter: Found
    root: Path


@pytest.fixture(scope="module")
def bookworm(tmp_path_factory: pytest.TempPathFactory) -> Bookworm:
    folder = tmp_path_factory.mktemp("bookworm")
    debian = Debian(folder / "cache", lambda: find_mirrors(None, os.environ))
    try:
        pins = debian.resolve(Wanted(suite="bookworm", python="3.11", packages=("bash",)))
    except (ConfigError, UnavailableError) as error:
        pytest.skip(f"needs a mirror of Debian's archive: {error}")
    root = folder / "root"
    layers = [
        unpack(debian, packages, root, base=packages is pins.base)
        for packages in (pins.base, pins.interpreter, pins.packages)
    ]
    return Bookworm(debian=debian, pins=pins, base=layers[0], interpreter=layers[1], root=root)


def unpack(debian: Debian, pins: Sequence[DebPin], root: Path, *, base: bool) -> Found:
    with opened(debian.fetch_all(pins)) as debs:
        entries = base_entries(debs) if base else package_entries(debs)
        return [put(entry, root) for entry in entries]


def put(entry: Entry, root: Path) -> tuple[str, str, int, str]:
    """Extract one entry; say what it is."""
    place, told = root / entry.path, entry.link
    place.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind is Kind.SYMLINK:
        place.symlink_to(entry.link)
    elif entry.kind is Kind.DIRECTORY:
        place.mkdir(exist_ok=True)
        place.chmod(entry.mode)
    else:
        assert entry.open is not None
        with entry.open() as stream:
            data = stream.read()
        assert len(data) == entry.size
        place.write_bytes(data)
        place.chmod(entry.mode)
        told = Digest.of(data)
    return entry.path, entry.kind.value, entry.mode, told


def python(root: Path, code: str) -> str:
    """Run the image's Python through the image's own dynamic linker."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    program = root / "usr/bin/python3.11"
    linker = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, "--argv0", program]
    done = subprocess.run([*linker, program, "-I", "-S", "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_python_runs_with_all_that_matters(bookworm: Bookworm) -> None:
    assert python(bookworm.root, f"import {MODULES}, sys; print(sys.prefix)").strip() == str(bookworm.root / "usr")


def test_every_extension_module_finds_its_libraries(bookworm: Bookworm) -> None:
    python(bookworm.root, EVERY_EXTENSION)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for chroot")
def test_it_is_a_whole_system(bookworm: Bookworm) -> None:
    command = ["chroot", "--userspec=65532:65532", bookworm.root, "/usr/bin/python3.11", "-I", "-S", "-c", WHOLE_SYSTEM]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3.11.")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for chroot")
def test_bash_is_there_when_it_is_asked_for(bookworm: Bookworm) -> None:
    done = subprocess.run(
        ["chroot", bookworm.root, "/bin/sh", "-c", "echo $BASH_VERSION"], check=True, capture_output=True
    )
    assert done.stdout.startswith(b"5.2")


def test_it_is_small_and_has_no_shell_of_its_own(bookworm: Bookworm) -> None:
    pins = bookworm.pins
    assert sum(pin.size for pin in (*pins.base, *pins.interpreter)) < 15 << 20
    assert len(pins.base) + len(pins.interpreter) < 30
    assert [pin.name for pin in pins.packages] == ["bash"]
    assert not {pin.name for pin in (*pins.base, *pins.interpreter)} & {"dpkg", "perl-base", "debconf", "dash"}


def test_base_and_interpreter_share_nothing_but_directories_that_are_alike(bookworm: Bookworm) -> None:
    base, interpreter = ({entry[0]: entry for entry in found} for found in (bookworm.base, bookworm.interpreter))
    both = base.keys() & interpreter.keys()
    assert [base[path] for path in both] == [interpreter[path] for path in both]
    assert {base[path][1] for path in both} <= {"directory"}


def test_nothing_is_set_id_and_everything_can_be_read(bookworm: Bookworm) -> None:
    modes = {(kind, mode) for _, kind, mode, _ in (*bookworm.base, *bookworm.interpreter)}
    allowed = {("file", 0o644), ("file", 0o755), ("directory", 0o755), ("directory", 0o1777), ("symlink", 0o777)}
    assert modes == allowed


def test_unpacking_again_gives_the_same(bookworm: Bookworm, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = unpack(bookworm.debian, bookworm.pins.base[::-1], tmp_path, base=True)
    finally:
        os.umask(before)
    assert again == bookworm.base


def test_another_suite_and_architecture_come_from_the_same_mirrors(bookworm: Bookworm) -> None:
    pins = bookworm.debian.resolve(Wanted(suite="trixie", python="3.13", architecture="arm64"))
    assert {pin.architecture for pin in pins.interpreter} <= {"arm64", "all"}
    assert "python3.13" in [pin.name for pin in pins.interpreter]
