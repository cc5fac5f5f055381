"""A pull of a large blob that is killed goes on where it was, whenever that is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.small import check_store, environment, left_over, tiffin
from faulty_registry import Fault, FaultyRegistry, faulty_registry
from programs.waiting import until
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.store.layout import LARGE
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.ranges import Lanes

RANGE = Lanes().piece
AT_ONCE = 3


@pytest.fixture(scope="module")
def held() -> tuple[Image, MemoryStore]:
    data = os.urandom(LARGE + RANGE + 1)
    layer = Descriptor.of(data, LAYER)
    here = Platform.here()
    config = ImageConfig(architecture=here.architecture, os=here.os, rootfs=RootFS(diff_ids=[layer.digest]))
    store = MemoryStore()
    store.put(layer, io.BytesIO(data))
    return Image.make(config, [layer], {}), store


@pytest.fixture
def registry(held: tuple[Image, MemoryStore]) -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        running.hold(*held, "1")
        yield running


def begun(home: Path) -> int:
    """How many bytes of a blob are kept for the next pull."""
    return sum(path.stat().st_size for path in (home / "data" / "begun").glob("*"))


@pytest.mark.parametrize("ranges", [1, 5])
def test_a_pull_that_is_killed_is_gone_on_with(
    registry: FaultyRegistry, held: tuple[Image, MemoryStore], tmp_path: Path, ranges: int
) -> None:
    name = f"{registry.host}/team/iris:1"
    layer = held[0].manifest.layers[0].digest
    registry.faults[f"{layer} bytes=0-"] = [Fault(cut=RANGE)]  # what is asked for after the next range is a range
    registry.faults[f"{layer} bytes={ranges * RANGE}-"] = [Fault(drip=0.01)]  # no further than that
    pulling = subprocess.Popen([sys.executable, "-m", "tiffin", "pull", name], env=environment(tmp_path))
    until(
        lambda: registry.faults[f"{layer} bytes={ranges * RANGE}-"] == [] and begun(tmp_path) >= ranges * RANGE,
        lambda: f"{begun(tmp_path)} bytes came",
    )
    pulling.kill()
    pulling.wait()
    assert check_store(tmp_path) == {}
    came, before = begun(tmp_path), len(registry.asked)
    assert came == ranges * RANGE
    assert (registry.asked[-1].range[-1] == "-") == (ranges == 1), "killed in a stream, and among ranges"
    tiffin(tmp_path, "pull", name)
    asked = [asked.range for asked in registry.asked[before:] if layer in asked.path][1 if came else 0 :]
    assert min(int(text[6:].partition("-")[0]) for text in asked) == came, "nothing that is there is fetched again"
    assert check_store(tmp_path) == {name: held[0].descriptor.digest}
    assert left_over(tmp_path) == []
    assert list((tmp_path / "data" / "begun").iterdir()) == []


def test_pulls_of_one_large_blob_at_once_all_end_in_it(
    registry: FaultyRegistry, held: tuple[Image, MemoryStore], tmp_path: Path
) -> None:
    name = f"{registry.host}/team/iris:1"
    pulls = [
        subprocess.Popen([sys.executable, "-m", "tiffin", "pull", name], env=environment(tmp_path))
        for _ in range(AT_ONCE)
    ]
    assert [pull.wait(timeout=120) for pull in pulls] == [0] * AT_ONCE
    assert check_store(tmp_path) == {name: held[0].descriptor.digest}
    assert left_over(tmp_path) == []
    assert list((tmp_path / "data" / "begun").iterdir()) == []


def test_a_prune_deletes_what_nobody_went_on_with(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.faults = {"bytes=0-": [Fault(cut=2 * RANGE)], f"bytes={2 * RANGE}-": [Fault(status=404)]}
    done = subprocess.run(
        [sys.executable, "-m", "tiffin", "pull", f"{registry.host}/team/iris:1"],
        env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert begun(tmp_path) == 2 * RANGE
    assert "begun" in tiffin(tmp_path, "prune", "--plan")
    assert begun(tmp_path) == 2 * RANGE, "a plan deletes nothing"
    tiffin(tmp_path, "prune")
    assert begun(tmp_path) == 0
