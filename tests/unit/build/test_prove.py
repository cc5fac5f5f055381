"""A proof reads each layer once, says what is wrong, and is not held again for what was proven."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.build.plan import BuildPlan
from tiffin.build.prove import Archive, Proven, prove
from tiffin.build.recipes import Base, Code, SourceFile, Wheels
from tiffin.errors import ConfigError
from tiffin.layers.entry import Entry
from tiffin.layers.write import write_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.packages.pins import WheelPin
from tiffin.progress import Event, Noted, Started, listening
from tiffin.store.memory import MemoryStore
from tiffin.store.records import Records
from unit.layers.elves import elf_file

PIN = WheelPin(
    name="demo",
    version="1.0",
    filename="demo-1.0-cp311-abi3-manylinux_2_28_x86_64.whl",
    sha256=Digest.of(b"demo"),
    size=1,
)
LIBC = elf_file(soname="libc.so.6", brings=["GLIBC_2.2.5", "GLIBC_2.36"])


class Bench:
    """An image of a base, a wheel's module that needs some library, and code."""

    def __init__(self, folder: Path, needed: str, code: str = "a = 1") -> None:
        store = MemoryStore()
        module = elf_file(needed=[needed], symbols=["PyInit_demo"])
        layers = [
            write_layer([Entry.of("usr/lib/libc.so.6", LIBC)], store),
            write_layer([Entry.of("opt/venv/lib/site-packages/demo.abi3.so", module)], store),
            write_layer([Entry.of("app/a.py", code.encode())], store),
        ]
        source = SourceFile(path="app/a.py", digest=Digest.of(code.encode()), size=len(code))
        run = RunConfig(labels={"dev.tiffin.python": "3.11"})
        self.plan = BuildPlan(
            name="demo",
            platform=Platform(os="linux", architecture="amd64"),
            recipes=(Base(suite="bookworm", packages=()), Wheels(wheels=(PIN,)), Code(files=(source,))),
            run=run,
            annotations={},
        )
        config = ImageConfig(
            architecture="amd64", os="linux", config=run, rootfs=RootFS(diff_ids=[layer.diff_id for layer in layers])
        )
        self.image = Image.make(config, [layer.descriptor for layer in layers], {})
        self.archive = Archive(store=store, libraries=Records(folder / "libraries"), proofs=Records(folder / "proofs"))

    def prove(self, *allowed: str) -> list[Event]:
        events: list[Event] = []
        with listening(events.append):
            prove(self.plan, self.image, self.archive, allowed)
        return events


def held(events: list[Event]) -> bool:
    return any(isinstance(event, Started) and event.name == "prove" for event in events)


def test_a_good_image_is_proven_once_and_an_edit_of_its_code_asks_no_more(tmp_path: Path) -> None:
    assert held(Bench(tmp_path, "libc.so.6").prove())
    assert not held(Bench(tmp_path, "libc.so.6").prove())
    assert not held(Bench(tmp_path, "libc.so.6", code="a = 2").prove())
    assert held(Bench(tmp_path, "libcuda.so.1").prove())


def test_a_bad_image_is_refused_each_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "libgomp.so.1")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"needs libgomp\.so\.1"):
            bench.prove()
    assert held(bench.prove("libgomp.so.1"))
    with pytest.raises(ConfigError):
        bench.prove()


def test_a_wheel_is_held_against_the_glibc_that_is_in_the_image(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "libc.so.6")
    newer = msgspec.structs.replace(PIN, filename="demo-1.0-cp311-abi3-manylinux_2_39_x86_64.whl")
    recipes = (bench.plan.recipes[0], Wheels(wheels=(newer,)), bench.plan.recipes[2])
    bench.plan = msgspec.structs.replace(bench.plan, recipes=recipes)
    with pytest.raises(ConfigError, match="manylinux_2_39"):
        bench.prove()


def test_what_is_remembered_needs_no_blob_and_what_is_nowhere_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "here", "libc.so.6")
    bench.prove()
    empty = MemoryStore()
    proofs = Records(tmp_path / "other")
    bench.archive = msgspec.structs.replace(bench.archive, store=empty, proofs=proofs)
    assert held(bench.prove())
    bench.archive = Archive(store=empty, libraries=Records(tmp_path / "none"), proofs=Records(tmp_path / "new"))
    said = [event.message for event in bench.prove() if isinstance(event, Noted)]
    assert said[0].startswith("the layer base is not on this machine")
    assert held(bench.prove())


def test_a_proof_is_a_value_that_can_be_remembered(tmp_path: Path) -> None:
    records, key = Records(tmp_path), Digest.of(b"key")
    records.put(key, Proven(3))
    assert records.get(key, Proven) == Proven(3)
