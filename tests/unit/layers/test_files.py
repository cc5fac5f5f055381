from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, NotFoundError
from tiffin.layers.entry import Entry, Kind
from tiffin.layers.files import BUNDLE, OWN_LAYER, tree_entries, weight_bundles, weight_layers
from tiffin.layers.write import write_layer
from tiffin.oci.documents import LAYER, LAYER_GZIP
from unit.layers.shelf import Shelf


def tree(root: Path) -> list[Path]:
    (root / "pkg").mkdir(parents=True)
    (root / "main.py").write_text("import pkg\n")
    (root / "pkg/run.sh").write_text("#!/bin/sh\n")
    (root / "pkg/run.sh").chmod(0o700)
    (root / "latest").symlink_to("pkg/run.sh")
    return [Path("main.py"), root / "pkg/run.sh", Path("latest")]


def test_files_land_below_the_prefix(shelf: Shelf, tmp_path: Path) -> None:
    layer = write_layer(tree_entries(tmp_path, tree(tmp_path), "/app/"), shelf)
    assert shelf.files(layer) == {"app/main.py": (0o644, b"import pkg\n"), "app/pkg/run.sh": (0o755, b"#!/bin/sh\n")}
    with shelf.open(layer) as tar:
        assert tar.getmember("app/latest").linkname == "pkg/run.sh"


def test_folder_mask_and_clock_do_not_matter(shelf: Shelf, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        one = write_layer(tree_entries(tmp_path / "a", tree(tmp_path / "a"), "app"), shelf)
    finally:
        os.umask(before)
    files = tree(tmp_path / "elsewhere" / "b")
    os.utime(tmp_path / "elsewhere/b/main.py", (1, 1))
    assert one == write_layer(tree_entries(tmp_path / "elsewhere/b", reversed(files), "app"), shelf)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "pkg/../../outside", ".."])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ConfigError, match="which is not below"):
        tree_entries(tmp_path, [Path("link")], "app")


@pytest.mark.parametrize("target", ["pkg", "./pkg/../main.py", "dangling"])
def test_a_link_that_stays_is_kept(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    (entry,) = tree_entries(tmp_path, [Path("link")], "app")
    assert entry.kind is Kind.SYMLINK


def test_a_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("x")
    (root / "way").symlink_to(outside)
    for file in (outside / "secret", Path("../outside/secret"), Path("way/secret")):
        with pytest.raises(ConfigError, match="is not below"):
            tree_entries(root, [file], "app")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(ConfigError, match="no file, folder or link"):
            tree_entries(tmp_path, [Path("s")], "app")


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot read"):
        tree_entries(tmp_path, [Path("none")], "app")


def weights(path: str, size: int) -> Entry:
    return Entry.file(path, size, io.BytesIO)


def test_large_weights_have_a_layer_each_and_small_ones_share() -> None:
    sizes = {"a": OWN_LAYER, "b": 5, "c": OWN_LAYER - 1, "d": 3 * OWN_LAYER, "e": 0}
    found = weight_bundles(weights(f"models/{name}", size) for name, size in sizes.items())
    assert [([e.path[-1] for e in b.entries], b.compress) for b in found] == [
        (["a"], False),
        (["d"], False),
        (["b", "c", "e"], True),
    ]


def test_small_weights_share_layers_of_bounded_size() -> None:
    found = weight_bundles(weights(f"models/{n:02}", OWN_LAYER - 1) for n in range(9))
    assert [len(bundle.entries) for bundle in found] == [4, 4, 1]
    assert all(sum(entry.size for entry in bundle.entries) <= BUNDLE for bundle in found)
    assert weight_bundles([]) == []


def test_large_weights_are_not_compressed(shelf: Shelf, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(OWN_LAYER)
    (tmp_path / "small").write_bytes(b"s" * 1000)
    layers = weight_layers(tree_entries(tmp_path, [Path("big"), Path("small")], "models"), shelf)
    assert [layer.descriptor.media_type for layer in layers] == [LAYER, LAYER_GZIP]
    assert shelf.files(layers[0])["models/big"] == (0o644, bytes(OWN_LAYER))
