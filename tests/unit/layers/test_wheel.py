from __future__ import annotations

import csv
import io
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConfigError, ConflictError, IntegrityError, NotFoundError
from tiffin.layers.overlap import Overlap
from tiffin.layers.wheel import WheelSource, wheel_files
from tiffin.layers.wheel_layers import overlaps, wheel_layer
from tiffin.progress import Event, Noted, listening
from unit.layers.shelf import Shelf
from unit.layers.zips import EXECUTABLE, INFO, Zipped, parts, save, zipped

SITE = "opt/venv/lib/site-packages"


def source(path: Path, name: str = "demo", version: str = "1.0") -> WheelSource:
    return WheelSource(path=path, name=name, version=version)


def built(shelf: Shelf, folder: Path, *members: Zipped, **documents: bytes | None) -> dict[str, tuple[int, bytes]]:
    """Build a wheel of these members and return the files of its layer."""
    return shelf.files(wheel_layer([source(save(folder, zipped(parts(*members, **documents))))], shelf))


def test_a_members_stream_is_spliced_as_it_is(shelf: Shelf, tmp_path: Path) -> None:
    data = b"".join(b"%d," % n for n in range(5000))
    stream = zlib.compress(data, 1, -15)
    path = save(tmp_path, zipped(parts(Zipped("demo/big.txt", data, stream=stream))))
    layer = wheel_layer([source(path)], shelf)
    assert stream in shelf.blob(layer)
    assert shelf.files(layer)[f"{SITE}/demo/big.txt"] == (0o644, data)


def test_every_scheme_has_its_place(shelf: Shelf, tmp_path: Path) -> None:
    found = built(
        shelf,
        tmp_path,
        Zipped("demo-1.0.data/purelib/pure.py", b"pure"),
        Zipped("demo-1.0.data/platlib/plat.so", b"plat"),
        Zipped("demo-1.0.data/headers/demo.h", b"header"),
        Zipped("demo-1.0.data/data/share/doc/x", b"doc"),
        Zipped("demo-1.0.data/data/etc/x.sh", b"run", mode=EXECUTABLE),
        Zipped("demo-1.0.data/data/lib/python3.11/site-packages/deep.pth", b"pth"),
        Zipped("demo-1.0.data/scripts/tool", b"#!/bin/sh\n"),
    )
    assert {path: found[path] for path in found if INFO not in path and "/demo/__init__" not in path} == {
        f"{SITE}/pure.py": (0o644, b"pure"),
        f"{SITE}/plat.so": (0o644, b"plat"),
        f"{SITE}/deep.pth": (0o644, b"pth"),
        "opt/venv/include/site/python/demo/demo.h": (0o644, b"header"),
        "opt/venv/share/doc/x": (0o644, b"doc"),
        "opt/venv/etc/x.sh": (0o755, b"run"),
        "opt/venv/bin/tool": (0o755, b"#!/bin/sh\n"),
    }


def test_only_the_execute_bit_of_a_mode_is_kept(shelf: Shelf, tmp_path: Path) -> None:
    members = [Zipped(f"demo/{mode:o}", b"x", mode=mode) for mode in (0o100600, 0o100777, 0o104755, 0, 0o755)]
    found = built(shelf, tmp_path, *members)
    modes = {path.rpartition("/")[2]: mode for path, (mode, data) in found.items() if data == b"x"}
    assert modes == {"100600": 0o644, "100777": 0o755, "104755": 0o755, "0": 0o644, "755": 0o644}


@pytest.mark.parametrize("line", [b"#!python", b"#!pythonw", b"#!python -O", b"#!python\r"])
def test_a_script_that_leaves_its_interpreter_open_gets_ours(shelf: Shelf, tmp_path: Path, line: bytes) -> None:
    found = built(shelf, tmp_path, Zipped("demo-1.0.data/scripts/run", line + b"\nprint(1)\n"))
    assert found["opt/venv/bin/run"] == (0o755, b"#!/opt/venv/bin/python\nprint(1)\n")


def test_entry_points_become_scripts_that_run(shelf: Shelf, tmp_path: Path) -> None:
    text = b"[console_scripts]\nhi = demo.cli:App.main [extra]\n[gui_scripts]\nHi-GUI.2=demo:go\n[other]\nx = y\n"
    found = built(shelf, tmp_path, **{"entry_points.txt": text})
    assert {path for path in found if "/bin/" in path} == {"opt/venv/bin/hi", "opt/venv/bin/Hi-GUI.2"}
    mode, script = found["opt/venv/bin/hi"]
    assert mode == 0o755
    assert script.startswith(b"#!/opt/venv/bin/python\n")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/__init__.py").touch()
    (tmp_path / "demo/cli.py").write_text("class App:\n    main = staticmethod(lambda: 'went well')\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "went well\n")


def test_record_and_installer_are_ours_and_complete(shelf: Shelf, tmp_path: Path) -> None:
    found = built(
        shelf,
        tmp_path,
        Zipped("demo-1.0.data/scripts/run", b"#!python\n"),
        **{
            "RECORD": b"demo/__init__.py,sha256=abc,12\n" + b"demo-1.0.data/scripts/run,sha256=old,9\n",
            "INSTALLER": b"somebody\n",
            "REQUESTED": b"",
            "direct_url.json": b"{}",
            "RECORD.jws": b"{}",
            "entry_points.txt": b"[console_scripts]\nhi = demo:main\n",
        },
    )
    assert found[f"{SITE}/{INFO}/INSTALLER"] == (0o644, b"tiffin\n")
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(found[f"{SITE}/{INFO}/RECORD"][1].decode()))}
    names = {re.sub(rf"^{SITE}/", "", path).replace("opt/venv/", "../../../") for path in found}
    assert set(rows) == {name.replace("../../../bin", "../../bin") for name in names}
    assert rows["demo/__init__.py"] == ["sha256=abc", "12"]
    assert rows[f"{INFO}/RECORD"] == ["", ""]
    assert rows["../../bin/run"][1] == "23"
    assert rows["../../bin/run"][0] != "sha256=old"
    assert not {f"{INFO}/REQUESTED", f"{INFO}/direct_url.json", f"{INFO}/RECORD.jws"} & set(rows)


def test_stored_members_directories_and_data_descriptors_are_read(shelf: Shelf, tmp_path: Path) -> None:
    data = b"streamed" * 50
    packed = len(zlib.compress(data, 6, -15))
    short = struct.pack("<3L", zlib.crc32(data), packed, len(data))
    long = struct.pack("<L2Q", zlib.crc32(data), packed, len(data))
    nothing = {"crc": 0, "packed": 0, "size": 0}
    forms = [short, b"PK\x07\x08" + short, long, b"PK\x07\x08" + long]
    found = built(
        shelf,
        tmp_path,
        Zipped("demo/", b"", method=0, mode=0o040755),
        Zipped("demo/stored", b"stored" * 100_000, method=0),
        Zipped("demo/empty", b"", method=8),
        *(Zipped(f"demo/s{n}", data, flags=8, descriptor=form, local=nothing) for n, form in enumerate(forms)),
    )
    assert found[f"{SITE}/demo/stored"][1] == b"stored" * 100_000
    assert found[f"{SITE}/demo/empty"][1] == b""
    assert all(found[f"{SITE}/demo/s{n}"][1] == data for n in range(4))


def test_zip64_sizes_are_read(shelf: Shelf, tmp_path: Path) -> None:
    full, data = 0xFFFFFFFF, b"wide" * 1000
    sizes = struct.pack("<2H2Q", 1, 16, len(data), len(zlib.compress(data, 6, -15)))
    both = {"size": full, "packed": full}
    wide = Zipped("demo/wide", data, extra=sizes, local_extra=sizes, central=both, local=dict(both))
    assert built(shelf, tmp_path, wide)[f"{SITE}/demo/wide"][1] == data


def test_a_zip64_directory_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for member in parts():
            out.writestr(str(member.name), member.data)
        for n in range(66_000):
            out.writestr(f"demo/{n}", b"")
    assert len(wheel_files(source(path))) == 66_000 + 5


def test_a_layer_is_the_same_whatever_the_order_in_the_zip(shelf: Shelf, tmp_path: Path) -> None:
    members = parts(Zipped("demo/a", b"a" * 99), Zipped("demo/b", b"b" * 99))
    one = source(save(tmp_path, zipped(members), "one.whl"))
    two = source(save(tmp_path, zipped(reversed(members)), "two.whl"))
    assert wheel_layer([one], shelf) == wheel_layer([two], shelf)


def other_wheel(folder: Path, *members: Zipped) -> WheelSource:
    info = "other-2.dist-info"
    documents = {"METADATA": b"Name: Other\nVersion: 2.0\n", "WHEEL": b"Wheel-Version: 1.9\n", "RECORD": b""}
    listed = [*members, *(Zipped(f"{info}/{name}", data) for name, data in documents.items())]
    return source(save(folder, zipped(listed), "other-2-py3-none-any.whl"), "other", "2")


def test_a_bucket_does_not_depend_on_the_order_of_its_wheels(shelf: Shelf, tmp_path: Path) -> None:
    demo = source(save(tmp_path, zipped(parts(Zipped("shared/x", b"demo's")))))
    other = other_wheel(tmp_path, Zipped("shared/x", b"other's"), Zipped("shared/y", b"y"))
    layer = wheel_layer([demo, other], shelf)
    assert layer == wheel_layer([other, demo], shelf)
    files = shelf.files(layer)
    assert files[f"{SITE}/shared/x"][1] == b"other's"
    assert {f"{SITE}/demo/__init__.py", f"{SITE}/shared/y"} < set(files)


def test_paths_of_two_wheels_are_found_before_they_meet(tmp_path: Path) -> None:
    demo = source(save(tmp_path, zipped(parts(Zipped("both/same", b"1"), Zipped("both/differs", b"1")))))
    other = other_wheel(tmp_path, Zipped("both/same", b"1"), Zipped("both/differs", b"2"), Zipped("mine", b""))
    (found,) = overlaps([other, demo])
    assert found == Overlap(wheels=("demo", "other"), paths=2, differing=1, first=("both/differs",))
    assert found.winner == "other"
    assert "demo and other bring 1 of the same files with other content (both/differs)" in (found.warning() or "")


def test_the_same_bytes_at_one_path_are_worth_no_warning(tmp_path: Path) -> None:
    demo = source(save(tmp_path, zipped(parts(Zipped("space/py.typed"), Zipped("space/__init__.py")))))
    other = other_wheel(tmp_path, Zipped("space/py.typed"), Zipped("space/__init__.py"), Zipped("space/b.py"))
    (found,) = overlaps([demo, other])
    assert (found.paths, found.differing, found.warning()) == (2, 0, None)
    assert overlaps([demo]) == ()


def test_a_file_of_one_wheel_that_is_a_folder_of_another_is_refused(tmp_path: Path) -> None:
    demo, other = source(save(tmp_path, zipped(parts(Zipped("x/y"))))), other_wheel(tmp_path, Zipped("x/y/z"))
    with pytest.raises(ConflictError, match="x/y is a file in demo and a folder in other"):
        overlaps([other, demo])


def test_layers_of_wheels_that_overlap_are_disjoint(shelf: Shelf, tmp_path: Path) -> None:
    demo = source(save(tmp_path, zipped(parts(Zipped("both/a", b"demo's"), Zipped("both/mine", b"1")))))
    other = other_wheel(tmp_path, Zipped("both/a", b"other's"), Zipped("both/b", b"2"))
    beneath = shelf.files(wheel_layer([demo], shelf, yields_to=[other]))
    winner = shelf.files(wheel_layer([other], shelf, yields_to=[demo]))
    assert not beneath.keys() & winner.keys()
    assert f"{SITE}/both/mine" in beneath
    assert {**beneath, **winner} == shelf.files(wheel_layer([demo, other], shelf))
    assert winner == shelf.files(wheel_layer([other], shelf))


def test_bytecode_that_a_wheel_brings_is_left_out(shelf: Shelf, tmp_path: Path) -> None:
    stale = Zipped("demo/__pycache__/x.cpython-311.pyc", b"stale")
    held = built(shelf, tmp_path, stale, Zipped("demo/old.pyc", b"x"))
    assert f"{SITE}/demo/old.pyc" in held
    assert not [path for path in held if "__pycache__" in path]
    assert b"__pycache__" not in held[f"{SITE}/{INFO}/RECORD"][1]


def test_one_package_in_two_versions_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    one = source(save(tmp_path, zipped(parts())))
    with pytest.raises(ConflictError, match="demo"):
        wheel_layer([one, source(one.path, "Demo", "2.0")], shelf)


def test_names_that_differ_in_case_only_are_noted(shelf: Shelf, tmp_path: Path) -> None:
    heard: list[Event] = []
    with listening(heard.append):
        built(shelf, tmp_path, Zipped("demo/Readme", b"1"), Zipped("demo/README", b"2"))
    assert any(isinstance(event, Noted) and "case" in event.message for event in heard)


def test_wheel_files_lists_what_the_layer_holds(shelf: Shelf, tmp_path: Path) -> None:
    members = [Zipped("demo-1.0.data/scripts/run", b"#!python\n"), Zipped("demo/stored", b"s" * 3000, method=0)]
    path = save(tmp_path, zipped(parts(*members, **{"entry_points.txt": b"[console_scripts]\nhi = demo:main\n"})))
    listed = {
        file.path: (0o755 if file.executable else 0o644, file.size, file.crc) for file in wheel_files(source(path))
    }
    held = shelf.files(wheel_layer([source(path)], shelf))
    assert listed == {path: (mode, len(data), zlib.crc32(data)) for path, (mode, data) in held.items()}


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", ("numpy", "2.4.6")),
        ("a_b-1.0+cu121-1build-py3-none-any.whl", ("a_b", "1.0+cu121")),
    ],
)
def test_a_wheels_file_name_says_what_it_is(file_name: str, expected: tuple[str, str]) -> None:
    named = WheelSource.named(Path("/cache") / file_name)
    assert (named.name, named.version) == expected


@pytest.mark.parametrize("file_name", ["numpy-2.4.6.tar.gz", "numpy.whl", "a-b-c-d.whl", ""])
def test_another_file_name_is_refused(file_name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a wheel"):
        WheelSource.named(Path("/cache") / file_name)


def test_a_wheel_that_is_not_there_is_not_found(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot open"):
        wheel_layer([source(tmp_path / "none.whl")], shelf)


NAMES = st.lists(st.sampled_from(["a", "b", "C", "d.py", "é", "x" * 60, "-", " "]), min_size=1, max_size=4).map(
    "/".join
)
TREES = st.dictionaries(NAMES, st.tuples(st.sampled_from([0, 8]), st.binary(max_size=4000)), max_size=12).filter(
    lambda tree: not any(other.startswith(f"{name}/") for name in tree for other in tree)
)


@given(tree=TREES)
def test_a_spliced_wheel_is_the_unzipped_wheel(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    path = tmp_path_factory.mktemp("wheel") / "demo.whl"
    with zipfile.ZipFile(path, "w") as out:
        for member in parts():
            out.writestr(str(member.name), member.data)
        for name, (method, data) in tree.items():
            out.writestr(f"pkg/{name}", data, compress_type=method)
    shelf = Shelf()
    layer = wheel_layer([source(path)], shelf)
    unzipped = {f"{SITE}/pkg/{name}": (0o644, data) for name, (_, data) in tree.items()}
    assert {p: f for p, f in shelf.files(layer).items() if p.startswith(f"{SITE}/pkg/")} == unzipped


@given(cut=st.integers(0, 100), flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=3))
def test_a_damaged_wheel_is_refused_or_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[tuple[int, int]]
) -> None:
    shelf, folder = Shelf(), tmp_path_factory.mktemp("wheel")
    good = zipped(parts(Zipped("demo/data", bytes(range(256)) * 20)))
    expected = shelf.files(wheel_layer([source(save(folder, good, "good"))], shelf))
    bad = bytearray(good[: len(good) - cut])
    for place, flip in flips:
        bad[place % len(bad)] ^= flip
    try:
        found = shelf.files(wheel_layer([source(save(folder, bytes(bad), "bad"))], shelf))
    except IntegrityError:
        return
    # What no check covers: times, versions and modes, and names, which only the wheel's own digest vouches for.
    assert sorted(data for p, (_, data) in found.items() if "RECORD" not in p) == sorted(
        data for p, (_, data) in expected.items() if "RECORD" not in p
    )
