"""A base image is taken as it is, or refused with what is the matter; its tag may be anything, its digest is locked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from faulty_registry import faulty_registry
from programs.base_image import Files, packed
from tiffin.api.building.bases import bringing, lock_base
from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError, IntegrityError, NotFoundError, TiffinError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import (
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    RootFS,
    RunConfig,
    encode,
)
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.store.layout import LayoutStore

ELF = b"\x7fELF\x02\x01\x01" + bytes(11) + (62).to_bytes(2, "little") + bytes(44)
PYTHON: Files = {
    "usr/local/bin/python3.12": ELF,
    "usr/local/bin/python3": "python3.12",
    "usr/local/lib/python3.12/os.py": b"",
    "usr/lib/libc.so.6": ELF + b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n",
}
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
AMD64 = Platform(os="linux", architecture="amd64")


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(data=tmp_path / "data", cache=tmp_path / "cache")


def image(*layers: Files, architecture: str = "amd64", media_type: str = LAYER, env: tuple[str, ...] = ()) -> Image:
    blobs = [packed(files) for files in layers]
    config = ImageConfig(
        architecture=architecture,
        os="linux",
        config=RunConfig(env=list(env)),
        rootfs=RootFS(diff_ids=[Digest.of(blob) for blob in blobs]),
    )
    return Image.make(config, [Descriptor.of(blob, media_type) for blob in blobs], {})


def layout(folder: Path, made: Image, *layers: Files, name: str = "base") -> Image:
    store = LayoutStore(folder / "layout")
    for files in layers:
        data = packed(files)
        store.put(Descriptor.of(data, LAYER), io.BytesIO(data))
    made.write(store)
    store.tag(name, made.descriptor)
    return made


def checkout(folder: Path, base: str = "oci:layout", version: str = "3.12") -> Checkout:
    (folder / "tiffin.toml").write_text(
        f'name = "x"\n[model]\npath = "m.onnx"\n[python]\nversion = "{version}"\n'
        f'[image]\nbase = {json.dumps(base)}\nplatform = "linux/amd64"\n'
    )
    return Checkout.of(folder)


def test_a_base_is_pinned_with_what_was_found_in_it(tmp_path: Path, home: Home) -> None:
    env = ("PATH=/usr/local/bin:/usr/bin", "A=1")
    made = layout(tmp_path, image(PYTHON, {"x": b""}, env=env), PYTHON, {"x": b""})
    found = lock_base(checkout(tmp_path), home)
    assert (found.digest, found.program, found.library, found.glibc, found.env, found.links) == (
        made.descriptor.digest,
        "/usr/local/bin/python3.12",
        "/usr/local/lib/python3.12",
        (2, 36),
        env,
        (),
    )
    assert [layer.descriptor for layer in found.layers] == made.manifest.layers
    assert [layer.unpacked_size for layer in found.layers] == [layer.size for layer in made.manifest.layers]
    assert all(home.store.exists(layer.descriptor) for layer in found.layers)
    assert home.store.exists(made.descriptor)


def test_folders_that_are_links_are_pinned_with_where_they_lead(tmp_path: Path, home: Home) -> None:
    links: Files = {"opt": "var/opt", "app": "/srv/app"}
    layout(tmp_path, image(PYTHON, links), PYTHON, links)
    assert lock_base(checkout(tmp_path), home).links == (
        ("app", "srv/app"),
        ("opt/tiffin", "var/opt/tiffin"),
        ("opt/venv", "var/opt/venv"),
        ("opt", "var/opt"),
    )


MUSL: Files = {
    "usr/local/bin/python3.12": ELF,
    "usr/local/lib/python3.12/os.py": b"",
    "lib/ld-musl-x86_64.so.1": ELF,
}
REFUSED: dict[str, tuple[Image, tuple[Files, ...], type[TiffinError], str]] = {
    "no Python": (image({"x": b""}), ({"x": b""},), ConfigError, "no Python for x86_64"),
    "musl": (image(MUSL), (MUSL,), UnsupportedError, "built on musl"),
    "another platform": (image(PYTHON, architecture="arm64"), (PYTHON,), ConfigError, "is for linux/arm64"),
    "packages of its own": (
        image(PYTHON, {"opt/venv/lib/x.py": b""}),
        (PYTHON, {"opt/venv/lib/x.py": b""}),
        UnsupportedError,
        "/opt/venv/lib/x.py",
    ),
    "a layer of another kind": (
        image(PYTHON, media_type="application/vnd.docker.image.rootfs.foreign.diff.tar"),
        (PYTHON,),
        UnsupportedError,
        "a layer of the type",
    ),
    "another number of layers": (
        Image.make(image(PYTHON, PYTHON).config, image(PYTHON).manifest.layers, {}),
        (PYTHON,),
        IntegrityError,
        "other diff IDs",
    ),
    "other layers than its config says": (
        Image.make(image({"y": b""}).config, image(PYTHON).manifest.layers, {}),
        (PYTHON,),
        IntegrityError,
        "diff ID",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_base_is_refused(name: str, tmp_path: Path, home: Home) -> None:
    made, layers, error, message = REFUSED[name]
    layout(tmp_path, made, *layers)
    with pytest.raises(error, match=message):
        lock_base(checkout(tmp_path), home)


def test_one_of_several_images_must_be_named(tmp_path: Path, home: Home) -> None:
    first = layout(tmp_path, image(PYTHON), PYTHON)
    layout(tmp_path, image(PYTHON, {"x": b""}), PYTHON, {"x": b""}, name="other:1")
    with pytest.raises(UnsupportedError, match="has not one image: base, other:1"):
        lock_base(checkout(tmp_path), home)
    assert lock_base(checkout(tmp_path, "oci:layout:base"), home).digest == first.descriptor.digest
    assert len(lock_base(checkout(tmp_path, "oci:layout:other:1"), home).layers) == 2


def test_a_path_that_is_not_there_is_named(tmp_path: Path, home: Home) -> None:
    with pytest.raises(NotFoundError, match=r"tiffin\.toml: no .*layout - at `\$\.image\.base`"):
        lock_base(checkout(tmp_path), home)


def test_an_index_in_dockers_words_leads_to_layers_in_ocis(tmp_path: Path, home: Home) -> None:
    made = image(PYTHON, media_type=DOCKER_LAYER)
    manifest = made.manifest_bytes.replace(MANIFEST.encode(), DOCKER_MANIFEST.encode())
    with faulty_registry() as registry:
        registry.add(packed(PYTHON))
        registry.add(made.config_bytes)
        found = registry.add_manifest(manifest, DOCKER_MANIFEST)
        other = Descriptor.of(b"{}", MANIFEST)
        platforms = [(other, Platform(os="linux", architecture="arm64")), (found, AMD64)]
        entries = [
            Descriptor(media_type=entry.media_type, digest=entry.digest, size=entry.size, platform=platform)
            for entry, platform in platforms
        ]
        registry.add_manifest(encode(Index(manifests=entries)), INDEX, "3.12")
        here = checkout(tmp_path, f"{registry.host}/team/python:3.12")
        pinned = lock_base(here, home)
        assert pinned.digest == found.digest
        assert [layer.media_type for layer in pinned.layers] == [LAYER]
        elsewhere = Home(data=tmp_path / "elsewhere", cache=tmp_path / "cache")
        bring = bringing(here, elsewhere)
        bring(pinned.layers[0].descriptor)
        assert elsewhere.store.exists(pinned.layers[0].descriptor)
        registry.blobs.clear()
        with pytest.raises(NotFoundError, match="the locked base image is gone") as caught:
            bringing(here, Home(data=tmp_path / "third", cache=tmp_path / "cache"))(pinned.layers[0].descriptor)
    assert "tiffin lock" in (caught.value.hint or "")
