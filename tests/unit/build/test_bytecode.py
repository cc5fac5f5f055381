"""Bytecode is that of the sources which the image has, also where wheels bring the same paths."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from tiffin.build.bytecode import compiled_wheels
from tiffin.build.recipes import WheelBytecode
from tiffin.build.workshop import Workshop
from tiffin.layers.compiler import ProcessCompiler
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin
from tiffin.store.memory import MemoryStore
from tiffin.store.records import Records
from unit.layers.zips import Zipped, save, zipped

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def pinned(folder: Path, name: str, files: dict[str, str]) -> WheelPin:
    info = f"{name}-1.dist-info"
    documents = {"METADATA": f"Name: {name}\nVersion: 1\n", "WHEEL": "Wheel-Version: 1.0\n", "RECORD": ""}
    members = {**files, **{f"{info}/{document}": text for document, text in documents.items()}}
    data = zipped(Zipped(path, text.encode()) for path, text in members.items())
    file = save(folder, data, f"{name}-1-py3-none-any.whl")
    return WheelPin(name=name, version="1", filename=file.name, sha256=Digest.of(data), size=len(data))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(
        store=MemoryStore(),
        layers=Records(tmp_path / "layers"),
        images=Records(tmp_path / "images"),
        wheels=lambda pins: [tmp_path / pin.filename for pin in pins],
        libraries=Records(tmp_path / "libraries"),
        debs=lambda _: [],
        bring=lambda _: None,
        archive=lambda _: tmp_path,
        compiler=lambda _: ProcessCompiler([sys.executable], 1),
        bytecode=Records(tmp_path / "bytecode"),
        sources={},
    )


def names(workshop: Workshop, *wheels: WheelPin, yields_to: tuple[WheelPin, ...] = ()) -> list[tuple[str, bytes]]:
    recipe = WheelBytecode(interpreter=Digest.of(b""), python=PYTHON, wheels=wheels, yields_to=yields_to)
    entries = compiled_wheels(recipe, workshop, partial(workshop.compiler, ()))
    return [(entry.path.rpartition("/")[2].partition(".")[0], entry.open().read()) for entry in entries if entry.open]


def test_no_bytecode_is_left_of_a_file_that_another_wheel_replaces(tmp_path: Path, workshop: Workshop) -> None:
    one = pinned(tmp_path, "one", {"both/a.py": "x = 'one'", "both/b.py": "y = 1", "both/mine.py": ""})
    two = pinned(tmp_path, "two", {"both/a.py": "x = 'two'", "both/b.py": "print 'does not compile'"})
    alone, winner = names(workshop, one, yields_to=(two,)), names(workshop, two)
    assert [name for name, _ in alone] == ["mine"]
    assert [name for name, _ in winner] == ["a"]
    assert b"two" in winner[0][1]
    for order in ((one, two), (two, one)):
        assert sorted(names(workshop, *order)) == sorted([*alone, *winner])
