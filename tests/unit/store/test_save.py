"""The archive that images go into docker and podman with, and to other machines, is read by others too."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from contract.engine_fixtures import busybox_image
from programs.process import run
from tiffin.store.save import save


@pytest.fixture
def written(tmp_path: Path) -> Path:
    store, image = busybox_image()
    path = tmp_path / "image.tar"
    with path.open("wb") as out:
        save(store, {"localhost/tiffin:1": image}, out)
    return path


def test_every_blob_is_what_its_name_says(written: Path) -> None:
    with tarfile.open(written) as tar:
        names = [member.name for member in tar if member.isfile()]
        assert len(names) == len(set(names)) == 6
        for name in names:
            if name.startswith("blobs/sha256/"):
                stream = tar.extractfile(name)
                assert stream
                assert hashlib.sha256(stream.read()).hexdigest() == name.rpartition("/")[2]


@pytest.mark.program("skopeo")
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_skopeo_reads_it_as_either_kind(written: Path, transport: str) -> None:
    if transport == "oci-archive" and os.geteuid() != 0:
        pytest.skip("needs root: skopeo gives what it unpacks to the archive's owner")
    _, image = busybox_image()
    seen = json.loads(run("skopeo", "inspect", "--config", f"{transport}:{written}"))
    assert seen["rootfs"]["diff_ids"] == [str(image.config.rootfs.diff_ids[0])]
