"""Pulls on a full disk and pulls that meet: what arrives is whole, what does not leaves nothing, the next goes on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.disk import assert_full, small_disk
from end_to_end.small import check_store, environment, left_over, tiffin
from faulty_registry import Fault, FaultyRegistry, faulty_registry
from programs.waiting import until
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.store.memory import MemoryStore

LAYERS = [os.urandom(3 << 20), os.urandom(1 << 20), os.urandom(6 << 20)]
PLENTY = 40
AT_ONCE = 3


@pytest.fixture(scope="module")
def image() -> Image:
    layers = [Descriptor.of(data, LAYER) for data in LAYERS]
    here = Platform.here()
    config = ImageConfig(
        architecture=here.architecture, os=here.os, rootfs=RootFS(diff_ids=[layer.digest for layer in layers])
    )
    return Image.make(config, layers, {})


@pytest.fixture
def registry(image: Image) -> Iterator[FaultyRegistry]:
    store = MemoryStore()
    for layer, data in zip(image.manifest.layers, LAYERS, strict=True):
        store.put(layer, io.BytesIO(data))
    with faulty_registry() as running:
        running.hold(image, store, "1")
        yield running


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_full_while_pulling_is_named_and_the_next_pull_goes_on(
    registry: FaultyRegistry, image: Image, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/iris:1"
    with small_disk(tmp_path / "disk", PLENTY) as disk:
        for room in (0.05, 2.5, 5, 9):
            disk.resize(room)
            done = disk.tiffin("pull", name)
            assert_full(done, disk.path)
            assert "sha256:" in done.stderr or room < 1, "what did not fit in is named"
            assert check_store(disk.seen) == {}
            assert left_over(disk.seen) == []
        disk.resize(PLENTY)
        done = disk.tiffin("pull", name)
        assert done.returncode == 0, done.stderr
        assert check_store(disk.seen) == {name: image.descriptor.digest}


def test_what_a_pull_that_was_killed_left_is_gone_after_the_next(
    registry: FaultyRegistry, image: Image, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/iris:1"
    registry.faults[image.manifest.layers[0].digest] = [Fault(drip=0.01)]
    pulling = subprocess.Popen([sys.executable, "-m", "tiffin", "pull", name], env=environment(tmp_path))
    until(lambda: list((tmp_path / "data" / "tmp").glob("blob-*")) != [], lambda: "a blob comes")
    pulling.kill()
    pulling.wait()
    assert left_over(tmp_path) != []
    tiffin(tmp_path, "pull", name)
    assert left_over(tmp_path) == []
    assert check_store(tmp_path) == {name: image.descriptor.digest}


def test_pulls_of_one_image_at_once_all_end_in_it(registry: FaultyRegistry, image: Image, tmp_path: Path) -> None:
    name = f"{registry.host}/team/iris:1"
    registry.faults["blobs/"] = [Fault(), Fault(cut=700_000), Fault(), Fault(status=503), Fault(cut=2_000_000)]
    pulls = [
        subprocess.Popen(
            [sys.executable, "-m", "tiffin", "pull", name],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    for pull in pulls:
        out, err = pull.communicate(timeout=120)
        assert pull.returncode == 0, err
        assert out.strip() == f"{registry.host}/team/iris@{image.descriptor.digest}"
    assert check_store(tmp_path) == {name: image.descriptor.digest}
    assert left_over(tmp_path) == []


def test_pushes_of_one_image_at_once_all_end_in_it(image: Image, tmp_path: Path, registry: FaultyRegistry) -> None:
    tiffin(tmp_path, "pull", f"{registry.host}/team/iris:1")
    with faulty_registry() as target:
        name = f"{target.host}/team/iris:2"
        pushes = [
            subprocess.Popen(
                [sys.executable, "-m", "tiffin", "push", f"{registry.host}/team/iris:1", name],
                env=environment(tmp_path),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(AT_ONCE)
        ]
        for push in pushes:
            _, err = push.communicate(timeout=120)
            assert push.returncode == 0, err
        assert target.manifests["2"][1] == image.manifest_bytes
        assert all(
            target.blobs[layer.digest] == data for layer, data in zip(image.manifest.layers, LAYERS, strict=True)
        )
    assert left_over(tmp_path) == []
    assert list((tmp_path / "cache" / "uploads").iterdir()) == []
