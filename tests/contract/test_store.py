"""What every store does, whatever it is made of; an archive, which is only read, does what reading takes."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from faulty_registry import faulty_registry
from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.artifact import attach
from tiffin.oci.copy import copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, LAYER_GZIP, Descriptor, ImageConfig, Index, RootFS, decode, encode
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import carry
from tiffin.oci.store import Referrers
from tiffin.store.archive import ArchiveStore
from tiffin.store.layout import REF_NAME, LayoutStore
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.store import RemoteStore

BLOB = b"layer" * 1000
DESCRIPTOR = Descriptor.of(BLOB, LAYER)
type_of_store = MemoryStore | LayoutStore
type_of_any = type_of_store | RemoteStore


@pytest.fixture(params=["memory", "layout"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> type_of_store:
    return MemoryStore() if request.param == "memory" else LayoutStore(tmp_path / "store")


@pytest.fixture(params=["memory", "layout", "registry"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type_of_any]:
    if request.param != "registry":
        yield MemoryStore() if request.param == "memory" else LayoutStore(tmp_path / "store")
        return
    with faulty_registry() as running:
        yield RemoteStore.of(Reference.parse(f"{running.host}/iris"), {}, writing=True)


class TestStore:
    def test_what_is_put_is_read_back(self, any_store: type_of_any) -> None:
        any_store.put(DESCRIPTOR, io.BytesIO(BLOB))
        with any_store.open(DESCRIPTOR) as stream:
            assert stream.read() == BLOB
        assert any_store.exists(DESCRIPTOR)

    def test_an_absent_blob_is_not_found(self, any_store: type_of_any) -> None:
        assert not any_store.exists(DESCRIPTOR)
        with pytest.raises(NotFoundError, match=DESCRIPTOR.digest.hex):
            any_store.open(DESCRIPTOR)

    @pytest.mark.parametrize("data", [BLOB[:-1], BLOB + b"x", b"X" + BLOB[1:], b""])
    def test_other_bytes_than_described_are_refused_and_leave_nothing(
        self, any_store: type_of_any, data: bytes
    ) -> None:
        with pytest.raises(IntegrityError, match="sha256"):
            any_store.put(DESCRIPTOR, io.BytesIO(data))
        assert not any_store.exists(DESCRIPTOR)

    def test_putting_twice_is_the_same_as_once(self, any_store: type_of_any) -> None:
        any_store.put(DESCRIPTOR, io.BytesIO(BLOB))
        any_store.put(DESCRIPTOR, io.BytesIO(BLOB))
        assert any_store.exists(DESCRIPTOR)

    def test_what_is_read_can_be_read_again_from_any_byte(self, any_store: type_of_any) -> None:
        any_store.put(DESCRIPTOR, io.BytesIO(BLOB))
        with any_store.open(DESCRIPTOR) as stream:
            assert stream.read(100) == BLOB[:100]
            assert stream.seek(50) == 50
            assert stream.read(7) == BLOB[50:57]
            assert stream.seek(4000) == 4000
            assert stream.read() == BLOB[4000:]
            assert stream.seek(1) == 1
            assert stream.seek(len(BLOB)) == len(BLOB)
            assert stream.read() == b"", "there is nothing at its end"

    def test_an_image_is_written_read_and_copied_whole(self, any_store: type_of_any) -> None:
        any_store.put(DESCRIPTOR, io.BytesIO(BLOB))
        config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[DESCRIPTOR.digest]))
        image = Image.make(config, [DESCRIPTOR], {})
        image.write(any_store)
        assert read_image(any_store, image.descriptor) == image
        elsewhere = MemoryStore()
        copy(any_store, elsewhere, image.descriptor)
        assert read_image(elsewhere, image.descriptor) == image
        assert elsewhere.exists(DESCRIPTOR)


@pytest.fixture(params=["memory", "layout", "registry", "registry with a list"])
def spoken_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type_of_any]:
    """A store that knows what speaks of its images, and holds IMAGE."""
    with faulty_registry() as running:
        running.lists_referrers = request.param.endswith("list")
        made = {"memory": MemoryStore, "layout": lambda: LayoutStore(tmp_path / "store")}.get(
            request.param, lambda: RemoteStore.of(Reference.parse(f"{running.host}/iris"), {}, writing=True)
        )
        store: type_of_any = made()
        store.put(DESCRIPTOR, io.BytesIO(BLOB))
        IMAGE.write(store)
        yield store


class TestReferrers:
    def test_an_image_alone_is_not_spoken_of(self, spoken_of: type_of_any) -> None:
        assert isinstance(spoken_of, Referrers)
        assert spoken_of.referrers(IMAGE.descriptor) == []

    def test_what_is_attached_speaks_of_the_image_and_of_no_other(self, spoken_of: type_of_any) -> None:
        for _ in range(2):
            made = attach(spoken_of, IMAGE.descriptor, "application/x", b"{}", {"says": "a"})
        assert spoken_of.referrers(IMAGE.descriptor) == [made]
        assert spoken_of.referrers(made) == []

    def test_it_is_carried_to_another_store_and_back_to_the_byte(self, spoken_of: type_of_any, tmp_path: Path) -> None:
        made = [attach(spoken_of, IMAGE.descriptor, "application/x", b"%d" % number, {}) for number in range(2)]
        above = attach(spoken_of, made[0], "application/x", b"of the first", {})
        elsewhere = LayoutStore(tmp_path / "elsewhere")
        copy(spoken_of, elsewhere, IMAGE.descriptor)
        carried = carry(spoken_of, elsewhere, IMAGE.descriptor)
        assert {one.digest for one in carried} == {one.digest for one in (*made, above)}
        assert {one.digest for one in elsewhere.referrers(IMAGE.descriptor)} == {one.digest for one in made}
        assert elsewhere.referrers(made[0]) == [above]
        assert carry(elsewhere, spoken_of, IMAGE.descriptor) == carried
        assert len(spoken_of.referrers(IMAGE.descriptor)) == len(made)


class TestWriting:
    def test_content_without_a_known_digest_is_ingested(self, store: type_of_store) -> None:
        with store.ingest() as writer:
            writer.write(BLOB[:100])
            writer.write(BLOB[100:])
            assert writer.commit(LAYER) == DESCRIPTOR
        assert store.exists(DESCRIPTOR)

    def test_what_is_not_committed_leaves_no_trace(self, store: type_of_store) -> None:
        with store.ingest() as writer:
            writer.write(BLOB)
        assert not store.exists(DESCRIPTOR)

    def test_names_come_and_go(self, store: type_of_store) -> None:
        other = Descriptor.of(b"other", LAYER)
        store.tag("iris:latest", DESCRIPTOR)
        store.tag("iris:1", DESCRIPTOR)
        store.tag("iris:latest", other)
        assert store.resolve("iris:latest").digest == other.digest
        assert {name: d.digest for name, d in store.names().items()} == {
            "iris:latest": other.digest,
            "iris:1": DESCRIPTOR.digest,
        }
        store.untag("iris:latest")
        with pytest.raises(NotFoundError, match="iris:latest"):
            store.resolve("iris:latest")
        with pytest.raises(NotFoundError):
            store.untag("iris:latest")


CONFIG_BYTES = encode(ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[DESCRIPTOR.digest])))
IMAGE = Image.wrap(CONFIG_BYTES, decode(ImageConfig, CONFIG_BYTES, "config"), [DESCRIPTOR])


def layout_files(blobs: Sequence[bytes], *manifests: Descriptor) -> dict[str, bytes]:
    """A layout's files, by name."""
    files = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in blobs}
    return files | {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": encode(Index(manifests=[*manifests])),
    }


def docker_files(layer: bytes = BLOB, tag: str | None = "iris:1", **more: bytes) -> dict[str, bytes]:
    """The files of `docker save`, by name."""
    saved = {"Config": "c.json", "RepoTags": [tag] if tag else None, "Layers": ["one/layer.tar"]}
    return {"manifest.json": json.dumps([saved]).encode(), "c.json": CONFIG_BYTES, "one/layer.tar": layer, **more}


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


NAMED = msgspec.structs.replace(IMAGE.descriptor, annotations={REF_NAME: "iris:1"})
LAYOUT = layout_files([BLOB, IMAGE.manifest_bytes, IMAGE.config_bytes], NAMED)


type_of_held = type_of_store | ArchiveStore | RemoteStore


@pytest.fixture(params=["memory", "layout", "oci-archive", "docker-archive", "registry"])
def held(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type_of_held]:
    """A store that holds IMAGE as iris:1, a registry under the tag 1."""
    if request.param.endswith("archive"):
        files = LAYOUT if request.param == "oci-archive" else docker_files()
        yield ArchiveStore(write_tar(tmp_path / "image.tar", files))
        return
    store = MemoryStore() if request.param == "memory" else LayoutStore(tmp_path / "store")
    store.put(DESCRIPTOR, io.BytesIO(BLOB))
    IMAGE.write(store)
    store.tag("iris:1", IMAGE.descriptor)
    if request.param != "registry":
        yield store
        return
    with faulty_registry() as running:
        running.hold(IMAGE, store, "1")
        yield RemoteStore.of(Reference.parse(f"{running.host}/iris"), {})


@pytest.fixture
def name(held: type_of_held) -> str:
    return "1" if isinstance(held, RemoteStore) else "iris:1"


class TestReading:
    def test_what_is_held_is_read(self, held: type_of_held) -> None:
        assert held.exists(DESCRIPTOR)
        with held.open(DESCRIPTOR) as stream:
            assert stream.read() == BLOB
            stream.seek(10)
            assert stream.read() == BLOB[10:], "as often as a copy that is cut off wants it"

    def test_what_is_not_held_is_not_found(self, held: type_of_held) -> None:
        other = Descriptor.of(b"other", LAYER)
        assert not held.exists(other)
        with pytest.raises(NotFoundError, match=other.digest.hex):
            held.open(other)

    def test_a_name_leads_to_the_image_and_its_exact_bytes(self, held: type_of_held, name: str) -> None:
        image = read_image(held, held.resolve(name))
        assert (image.manifest_bytes, image.config_bytes) == (IMAGE.manifest_bytes, IMAGE.config_bytes)
        with pytest.raises(NotFoundError, match=f"{name[:-1]}2"):
            held.resolve(f"{name[:-1]}2")

    def test_names_are_listed(self, held: type_of_held, name: str) -> None:
        if not isinstance(held, RemoteStore):
            assert held.names().keys() == {name}

    def test_an_image_is_copied_whole(self, held: type_of_held, name: str, tmp_path: Path) -> None:
        elsewhere = LayoutStore(tmp_path / "elsewhere")
        copy(held, elsewhere, held.resolve(name))
        assert read_image(elsewhere, IMAGE.descriptor) == IMAGE
        with elsewhere.open(DESCRIPTOR) as stream:
            assert stream.read() == BLOB


def archive(tmp_path: Path, files: dict[str, bytes]) -> ArchiveStore:
    return ArchiveStore(write_tar(tmp_path / "image.tar", files))


@pytest.mark.parametrize("damaged", [b"X" + BLOB[1:], BLOB[:-1], b""])
def test_a_damaged_layer_of_an_archive_does_not_arrive(tmp_path: Path, damaged: bytes) -> None:
    store = archive(tmp_path, docker_files(damaged))
    elsewhere = LayoutStore(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match=DESCRIPTOR.digest.hex):
        copy(store, elsewhere, store.only())
    assert not elsewhere.exists(store.only())


def test_a_layer_that_docker_wrote_as_a_link_is_found(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in docker_files().items():
            member = tarfile.TarInfo("two/layer.tar" if name == "one/layer.tar" else name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("one/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../two/layer.tar"
        tar.addfile(link)
    store = ArchiveStore(path)
    with store.open(DESCRIPTOR) as stream:
        assert stream.read() == BLOB


def test_a_compressed_layer_keeps_its_bytes_and_gets_their_media_type(tmp_path: Path) -> None:
    packed = gzip.compress(BLOB)
    store = archive(tmp_path, docker_files(packed))
    (layer,) = read_image(store, store.only()).manifest.layers
    assert (layer.media_type, layer.digest, layer.size) == (LAYER_GZIP, Digest.of(packed), len(packed))


def test_an_image_without_a_name_can_be_the_only_one(tmp_path: Path) -> None:
    store = archive(tmp_path, docker_files(tag=None))
    assert (store.names(), store.only().digest) == ({}, IMAGE.descriptor.digest)


def test_an_archive_of_several_images_has_no_only_one(tmp_path: Path) -> None:
    other = Image.make(IMAGE.config, [DESCRIPTOR], {"a": "b"})
    store = archive(tmp_path, layout_files([], NAMED, other.descriptor))
    with pytest.raises(UnsupportedError, match="not one image"):
        store.only()


def test_what_dockers_config_has_as_null_is_absent(tmp_path: Path) -> None:
    config = json.loads(CONFIG_BYTES) | {"config": {"Cmd": None, "Env": ["A=1"], "Labels": None}}
    store = archive(tmp_path, docker_files() | {"c.json": json.dumps(config).encode()})
    run = read_image(store, store.only()).config.config
    assert (run.cmd, run.env, run.labels) == ([], ["A=1"], {})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": b"b"}, "neither an index.json nor a manifest.json"),
        ({"manifest.json": b'[{"Config":"../c","Layers":[]}]'}, r"has no \.\./c"),
        ({"manifest.json": b"[[[["}, "not a valid"),
        ({"index.json": b"{}"}, "not a valid Index"),
        (
            docker_files() | {"c.json": CONFIG_BYTES.replace(b'"diff_ids":[', b'"diff_ids":[],"x":[')},
            "number of layers",
        ),
        ({"index.json": b" " * (5 << 20)}, "at most"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        archive(tmp_path, files)


def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "whole.tar", docker_files()).read_bytes()
    for size in range(0, whole.rindex(b"layer") + 5, 509):
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole[:size])
        with pytest.raises(IntegrityError):
            ArchiveStore(cut)


def test_an_archive_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="only read"):
        archive(tmp_path, docker_files()).put(DESCRIPTOR, io.BytesIO(BLOB))


def test_a_layout_sweeps_only_what_nobody_writes(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    with store.ingest() as writer:
        writer.write(BLOB)
        (tmp_path / "tmp" / "blob-dead").write_bytes(b"left behind")
        assert store.sweep() == 1
        assert writer.commit(LAYER) == DESCRIPTOR
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_layout_is_one_that_the_specification_describes(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    store.put(DESCRIPTOR, io.BytesIO(BLOB))
    store.tag("a:b", DESCRIPTOR)
    assert (tmp_path / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    assert (tmp_path / "blobs" / "sha256" / DESCRIPTOR.digest.hex).read_bytes() == BLOB
    assert Digest.parse(str(DESCRIPTOR.digest)) == DESCRIPTOR.digest
