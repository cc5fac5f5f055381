"""Images in one file: the bytes that `save` writes, and what `load` takes and refuses."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tiffin.api.images.archives import load, save, save_file
from tiffin.api.images.verbs import find_image, images
from tiffin.api.machine.home import Home
from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.store.layout import REF_NAME

BLOB = b"layer" * 1000
LAYER_OF = Descriptor.of(BLOB, LAYER)


def home_in(folder: Path) -> Home:
    return Home(data=folder / "data", cache=folder / "cache")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with an image of two names, and another that shares its layer."""
    made = home_in(tmp_path / "one")
    made.store.put(LAYER_OF, io.BytesIO(BLOB))
    for architecture, names in (("amd64", ["iris:1", "registry.example/team/iris:2"]), ("arm64", ["other:latest"])):
        config = ImageConfig(architecture=architecture, os="linux", rootfs=RootFS(diff_ids=[LAYER_OF.digest]))
        image = Image.make(config, [LAYER_OF], {})
        image.write(made.store)
        for name in names:
            made.store.tag(name, image.descriptor)
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Home:
    return home_in(tmp_path / "two")


def saved(home: Home, *names: str) -> bytes:
    out = io.BytesIO()
    save(names, out, home)
    return out.getvalue()


def loaded(data: bytes, home: Home, tmp_path: Path) -> list[str]:
    path = tmp_path / "image.tar"
    path.write_bytes(data)
    with path.open("rb") as file:
        return load(file, "image.tar", home)


def files(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar if member.isfile()}


def tar_of(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def digest_of(home: Home, name: str) -> str:
    return str(find_image(home.store, name).descriptor.digest)


def test_what_is_saved_is_loaded_with_its_names_and_digests(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    names = ["iris:1", "other:latest", "registry.example/team/iris:2"]
    printed = loaded(saved(home, *names), elsewhere, tmp_path)
    assert printed == [f"{name}@{digest_of(home, name)}" for name in names]
    assert images(elsewhere) == images(home)
    with elsewhere.store.open(LAYER_OF) as stream:
        assert stream.read() == BLOB


def test_the_bytes_depend_on_the_images_alone(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    first = saved(home, "iris:1", "other")
    loaded(first, elsewhere, tmp_path)
    assert saved(elsewhere, "other:latest", "iris:1", "other") == first


def test_docker_is_told_each_image_once_with_all_its_names(home: Home) -> None:
    found = files(saved(home, "registry.example/team/iris:2", "iris:1"))
    config = f"blobs/sha256/{find_image(home.store, 'iris:1').manifest.config.digest.hex}"
    layers = [f"blobs/sha256/{LAYER_OF.digest.hex}"]
    names = ["iris:1", "registry.example/team/iris:2"]
    assert json.loads(found["manifest.json"]) == [{"Config": config, "Layers": layers, "RepoTags": names}]
    annotations = [entry["annotations"] for entry in json.loads(found["index.json"])["manifests"]]
    assert annotations == [
        {REF_NAME: "iris:1", "io.containerd.image.name": "docker.io/library/iris:1"},
        {REF_NAME: names[1], "io.containerd.image.name": names[1]},
    ]
    assert set(found) == {"oci-layout", "index.json", "manifest.json", config, *layers} | {
        f"blobs/sha256/{digest_of(home, 'iris:1').removeprefix('sha256:')}"
    }


def test_an_image_that_goes_by_digest_keeps_the_names_of_its_repository(home: Home) -> None:
    digest = digest_of(home, "iris:1")
    assert saved(home, f"iris@{digest}") == saved(home, "iris:1")
    nameless = json.loads(files(saved(home, digest))["index.json"])["manifests"]
    assert [entry.get("annotations") for entry in nameless] == [None]


def test_an_image_without_a_name_is_loaded_by_digest(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    digest = digest_of(home, "iris:1")
    assert loaded(saved(home, digest), elsewhere, tmp_path) == [digest]
    assert digest_of(elsewhere, digest) == digest


def test_gzip_is_undone(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    assert len(loaded(gzip.compress(saved(home, "iris:1")), elsewhere, tmp_path)) == 1


def test_a_damaged_gzip_is_refused(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    packed = gzip.compress(saved(home, "iris:1"))
    for damaged in (packed[:-20], packed[:10] + b"\xff" * 20 + packed[30:], packed[:-8] + bytes(8)):
        with pytest.raises(IntegrityError, match=r"image\.tar is damaged gzip"):
            loaded(damaged, elsewhere, tmp_path)
    assert images(elsewhere) == []


def test_what_another_program_packed_is_refused_with_the_program(elsewhere: Home, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as refusal:
        loaded(b"\x28\xb5\x2f\xfd" + bytes(100), elsewhere, tmp_path)
    assert "unzstd" in str(refusal.value.hint)


def test_an_archive_may_come_through_a_pipe(home: Home, elsewhere: Home) -> None:
    data = saved(home, "iris:1")
    read, write = os.pipe()
    with open(write, "wb") as sink, open(read, "rb") as source:  # noqa: PTH123 - descriptors
        writer = threading.Thread(target=lambda: (sink.write(data), sink.close()))
        writer.start()
        assert load(source, "standard input", elsewhere) == [f"iris:1@{digest_of(home, 'iris:1')}"]
        writer.join()


@pytest.mark.parametrize("missing", ["manifest", "config", "layer"])
def test_a_missing_blob_is_named_and_the_image_gets_no_name(
    home: Home, elsewhere: Home, tmp_path: Path, missing: str
) -> None:
    image = find_image(home.store, "iris:1")
    gone = {"manifest": image.descriptor, "config": image.manifest.config, "layer": LAYER_OF}[missing].digest
    content = files(saved(home, "iris:1"))
    del content[f"blobs/sha256/{gone.hex}"]
    with pytest.raises(NotFoundError, match=rf"image\.tar has no blob {gone}"):
        loaded(tar_of(content), elsewhere, tmp_path)
    assert images(elsewhere) == []


def test_a_blob_that_is_not_what_its_digest_says_is_refused(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    for descriptor in (find_image(home.store, "iris:1").descriptor, LAYER_OF):
        content = files(saved(home, "iris:1"))
        name = f"blobs/sha256/{descriptor.digest.hex}"
        content[name] = b"X" + content[name][1:]
        with pytest.raises(IntegrityError, match=rf"image\.tar: .*{descriptor.digest}"):
            loaded(tar_of(content), elsewhere, tmp_path)
        assert images(elsewhere) == []


def test_an_archive_cut_off_anywhere_is_refused_with_its_name(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    whole = saved(home, "iris:1")
    for size in range(0, len(whole) - 2048, 1021):
        with pytest.raises((IntegrityError, NotFoundError), match=r"^image\.tar"):
            loaded(whole[:size], elsewhere, tmp_path)
    assert images(elsewhere) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "UPPER", "a b", "x:y:z"])
def test_a_name_that_is_none_is_refused(home: Home, elsewhere: Home, tmp_path: Path, name: str) -> None:
    content = files(saved(home, "iris:1"))
    index = json.loads(content["index.json"])
    index["manifests"][0]["annotations"] = {REF_NAME: name}
    with pytest.raises(IntegrityError, match=r"image\.tar: not a"):
        loaded(tar_of(content | {"index.json": json.dumps(index).encode()}), elsewhere, tmp_path)


@pytest.mark.parametrize("said", ["docker.io/library/iris:1", "localhost/iris:1", "iris:1"])
def test_what_docker_and_podman_add_to_a_name_is_left_out(
    home: Home, elsewhere: Home, tmp_path: Path, said: str
) -> None:
    content = files(saved(home, "iris:1"))
    del content["index.json"]
    content["manifest.json"] = content["manifest.json"].replace(b'"iris:1"', json.dumps(said).encode())
    (printed,) = loaded(tar_of(content), elsewhere, tmp_path)
    assert printed.startswith("iris:1@sha256:")
    assert find_image(elsewhere.store, "iris:1").config_bytes == find_image(home.store, "iris:1").config_bytes


def test_what_is_absent_is_not_saved(home: Home, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nosuch"):
        save_file(["iris:1", "nosuch"], tmp_path / "x.tar", home)
    with pytest.raises(NotFoundError, match="no folder"):
        save_file(["iris:1"], tmp_path / "absent" / "x.tar", home)
    assert not list(tmp_path.glob("x.tar*"))


def test_a_damaged_blob_leaves_the_file_as_it_was(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "x.tar"
    target.write_bytes(b"before")
    home.store.path(LAYER_OF).write_bytes(b"X" + BLOB[1:])
    with pytest.raises(IntegrityError, match=LAYER_OF.digest.hex):
        save_file(["iris:1"], target, home)
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.tar"]


def test_the_command_line_saves_into_a_pipe_and_loads_from_one(home: Home, elsewhere: Home, tmp_path: Path) -> None:
    def tiffin(where: Home, *arguments: str, data: bytes = b"") -> bytes:
        environment = {**os.environ, "TIFFIN_HOME": str(where.data.parent)}
        argv = [sys.executable, "-m", "tiffin", "--progress", "none", *arguments]
        return subprocess.run(argv, input=data, env=environment, stdout=subprocess.PIPE, check=True).stdout

    data = tiffin(home, "save", "iris:1")
    tiffin(home, "save", "iris:1", "-o", str(tmp_path / "x.tar"))
    assert (tmp_path / "x.tar").read_bytes() == data == saved(home, "iris:1")
    line = f"iris:1@{digest_of(home, 'iris:1')}\n".encode()
    assert tiffin(elsewhere, "load", data=data) == line
    assert tiffin(elsewhere, "load", "-i", str(tmp_path / "x.tar")) == line
