from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tiffin.errors import IntegrityError
from tiffin.layers import passing
from tiffin.layers.entry import Entry
from tiffin.layers.libraries import Gathering, Libraries, read_libraries, watched
from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from tiffin.layers.write import write_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER
from unit.layers.elves import elf_file
from unit.layers.shelf import Shelf
from unit.layers.zips import Zipped, parts, save, zipped

SITE = "opt/venv/lib/site-packages"


def both_ways(entries: list[Entry], *, compress: bool = True) -> Libraries:
    """What a layer holds, gathered while it is written; reading it afterwards must say the same."""
    shelf, gathering = Shelf(), Gathering()
    layer = write_layer(watched(entries, gathering), shelf, compress=compress)
    read = read_libraries(io.BytesIO(shelf.blob(layer)), layer.descriptor.media_type, layer.diff_id)
    assert gathering.libraries() == read
    return read


def test_a_layer_tells_its_libraries_and_links() -> None:
    found = both_ways(
        [
            Entry.of("usr/lib/libx.so.1.0", elf_file(soname="libx.so.1")),
            Entry.symlink("usr/lib/libx.so.1", "libx.so.1.0"),
            Entry.symlink("lib", "usr/lib"),
            Entry.of("usr/bin/script", b"#!/bin/sh\n", executable=True),
            Entry.of("etc/ld.so.conf.d/local.conf", b"# here\n/usr/local/lib\n"),
        ]
    )
    assert [(file.path, file.elf and file.elf.soname) for file in found.files] == [("usr/lib/libx.so.1.0", "libx.so.1")]
    assert found.links == {"lib": "usr/lib", "usr/lib/libx.so.1": "libx.so.1.0"}
    assert found.folders == ("/usr/local/lib",)


def test_a_layer_of_another_tool_says_what_it_deletes_and_what_its_hard_links_are() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("./usr/lib/.wh.libx.so.1", "./opt/.wh..wh..opq", "./usr/lib/liby.so"):
            tar.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("usr/lib/libz.so")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/lib/liby.so"
        tar.addfile(link)
    data = packed.getvalue()
    found = read_libraries(io.BytesIO(data), LAYER, Digest.of(data))
    assert found.gone == ("opt/", "usr/lib/libx.so.1")
    assert found.links == {"usr/lib/libz.so": "/usr/lib/liby.so"}


def test_a_damaged_file_is_told_and_fails_nothing() -> None:
    found = both_ways([Entry.of("usr/lib/libx.so", elf_file(needed=["liby.so"])[:-20])])
    assert [(file.path, bool(file.damaged)) for file in found.files] == [("usr/lib/libx.so", True)]


@pytest.mark.parametrize("padding", [0, 3 << 20, 5 << 20])
def test_the_libraries_of_a_wheel_know_their_wheel(
    tmp_path: Path, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "_WHOLE", 4 << 20)
    data = elf_file(needed=["libz.so.1"], symbols=["PyInit__speed"], padding=padding)
    wheel = save(tmp_path, zipped(parts(Zipped("speedy/_speed.abi3.so", data))))
    shelf, gathering = Shelf(), Gathering()
    layer = wheel_layer([WheelSource.named(wheel)], shelf, gathering=gathering)
    (file,) = gathering.libraries().files
    assert (file.path, file.owner) == (f"{SITE}/speedy/_speed.abi3.so", "demo")
    assert file.elf
    assert (file.elf.needed, file.elf.module) == (("libz.so.1",), True)
    again = read_libraries(io.BytesIO(shelf.blob(layer)), layer.descriptor.media_type, layer.diff_id)
    assert again == gathering.libraries()


def test_strings_at_the_end_of_a_big_file_are_read_from_it_anew() -> None:
    data = elf_file(needed=["libz.so.1"], padding=2 << 20)
    opened: list[int] = []

    def reopen() -> io.BytesIO:
        opened.append(1)
        return io.BytesIO(data)

    rewinding = passing.Rewinding(reopen)
    assert rewinding.read(len(data) - 4, 9) == data[-4:]
    assert rewinding.read(10, 20) == data[10:30]
    assert rewinding.read(12, 5) == data[12:17]
    assert len(opened) == 2
    rewinding.close()


def test_a_blob_that_is_not_its_diff_id_is_refused() -> None:
    shelf = Shelf()
    layer = write_layer([Entry.of("a", b"b")], shelf)
    with pytest.raises(IntegrityError, match="not to its diff ID"):
        read_libraries(io.BytesIO(shelf.blob(layer)), layer.descriptor.media_type, Digest.of(b"other"))
