"""An image that another program built lands in the store, named, with its exact bytes."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tiffin.api.building.dockerfile import build, take
from tiffin.api.images.explain import explain
from tiffin.api.images.verbs import images
from tiffin.api.machine.home import Home
from tiffin.engine.builders import Request
from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER
from tiffin.oci.reference import Reference


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def saved(*layers: bytes, claimed: bytes | None = None) -> bytes:
    """What `docker save` of 20.10 writes, nulls included."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    diff_ids = [Digest.of(claimed or layer) for layer in layers]
    run = {"Cmd": ["python", "app.py"], "Env": ["PATH=/bin"], "Entrypoint": None, "Volumes": None, "WorkingDir": "/app"}
    history = [{"created_by": f"/bin/sh -c #(nop) ADD {name}"} for name in names]
    config = {"architecture": "amd64", "os": "linux", "config": run, "history": history}
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": names}]
    return tar(
        {
            "config.json": json.dumps(config).encode(),
            **dict(zip(names, layers, strict=True)),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home(data=tmp_path / "data", cache=tmp_path / "cache")


def test_it_is_listed_and_explained_like_any_other(tmp_path: Path, place: Home) -> None:
    layers = tar({"bin/python": b"ELF", "tmp/junk": b"1234"}), tar({"app/app.py": b"pass\n", "tmp/.wh.junk": b""})
    (tmp_path / "image.tar").write_bytes(saved(*layers))
    image = take(tmp_path / "image.tar", place, Reference.parse("origin:1"))
    assert [row.name for row in images(place)] == ["origin:1"]
    assert [(layer.media_type, layer.digest) for layer in image.manifest.layers] == [
        (LAYER, Digest.of(layer)) for layer in layers
    ]
    found = explain("origin:1", place)
    assert [row.layer for row in found.layers] == ["ADD 0/layer.tar", "ADD 1/layer.tar"]
    assert [row.path for row in found.hidden] == ["tmp/junk"]
    assert found.files == 2


def test_a_layer_that_is_not_what_the_config_says_leaves_no_image(tmp_path: Path, place: Home) -> None:
    (tmp_path / "image.tar").write_bytes(saved(tar({"a": b"b"}), claimed=tar({"a": b"c"})))
    with pytest.raises(IntegrityError):
        take(tmp_path / "image.tar", place, Reference.parse("origin"))
    assert images(place) == []


def test_a_dockerfile_that_is_not_there_is_named(tmp_path: Path, place: Home) -> None:
    with pytest.raises(NotFoundError, match="Dockerfile"):
        build(Request(dockerfile=tmp_path / "Dockerfile", folder=tmp_path), home=place)
