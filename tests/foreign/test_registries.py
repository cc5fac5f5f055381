"""What skopeo pushed to docker-registry arrives here byte for byte, over TLS and by password too."""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path

import pytest
import urllib3

from programs.iris import Iris
from programs.process import run
from programs.registry import LOGIN, make_authority, registry
from tiffin.errors import DeniedError, NotFoundError
from tiffin.oci.copy import copy
from tiffin.oci.documents import DOCKER_MANIFEST, LAYER, LAYER_GZIP, Descriptor
from tiffin.oci.image import read_image
from tiffin.oci.reference import Reference
from tiffin.progress import Event, Noted, listening
from tiffin.store.layout import LayoutStore
from tiffin.store.remote.ranges import Lanes
from tiffin.store.remote.store import RemoteStore

pytestmark = pytest.mark.program("skopeo", "docker-registry")


def push(iris: Iris, name: str, *options: str) -> None:
    run("skopeo", "copy", "--dest-tls-verify=false", *options, iris.source, f"docker://{name}")


def pulled(name: str, tmp_path: Path, **environment: str) -> str:
    """Pull an image whole and return its digest."""
    source = RemoteStore.of(Reference.parse(name), {"HOME": str(tmp_path), **environment})
    store = LayoutStore(tmp_path / "store")
    copy(source, store, found := source.resolve(Reference.parse(name).tag))
    image = read_image(store, found)
    assert all(store.exists(part) for part in [image.manifest.config, *image.manifest.layers])
    return found.digest


def test_an_image_is_pulled_from_a_registry(iris: Iris, own_registry: str, tmp_path: Path) -> None:
    push(iris, f"{own_registry}/team/iris:1", "--preserve-digests")
    assert pulled(f"{own_registry}/team/iris:1", tmp_path) == iris.digest
    with pytest.raises(NotFoundError, match="MANIFEST_UNKNOWN"):
        pulled(f"{own_registry}/team/iris:2", tmp_path)


def test_an_image_in_dockers_own_words_keeps_its_bytes(iris: Iris, own_registry: str, tmp_path: Path) -> None:
    name = f"{own_registry}/team/iris:docker"
    push(iris, name, "--format", "v2s2")
    said = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}"))
    assert pulled(name, tmp_path) == said["Digest"]
    store = LayoutStore(tmp_path / "store")
    source = RemoteStore.of(Reference.parse(name), {})
    found = source.resolve("docker")
    assert found.media_type == DOCKER_MANIFEST
    assert LAYER_GZIP not in {layer.media_type for layer in read_image(store, found).manifest.layers}


def test_a_large_blob_comes_from_it_in_ranges(own_registry: str, tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    blob = Descriptor.of(data, LAYER)
    there = RemoteStore.of(Reference.parse(f"{own_registry}/team/large"), {"HOME": str(tmp_path)}, writing=True)
    there.put(blob, io.BytesIO(data))
    heard: list[Event] = []
    source = RemoteStore.of(Reference.parse(f"{own_registry}/team/large"), {"HOME": str(tmp_path)})
    source.lanes = Lanes(above=1 << 20, piece=1 << 20, fast=math.inf)
    store = LayoutStore(tmp_path / "store")
    with listening(heard.append):
        copy(source, store, blob)
    assert store.path(blob).read_bytes() == data
    assert not [event for event in heard if isinstance(event, Noted)], "no range was a bad one"
    url = f"http://{own_registry}/v2/team/large/blobs/{blob.digest}"
    answer = urllib3.request("GET", url, headers={"Range": "bytes=9-99"})
    assert (answer.status, answer.data) == (206, data[9:100]), "it has ranges"


@pytest.mark.program("openssl")
def test_a_registry_with_a_password_and_a_certificate_of_its_own_is_read(
    iris: Iris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path)
    auth = tmp_path / "auth.json"
    with registry(authority, password=True) as host:
        push(iris, f"{host}/iris:1", "--preserve-digests", f"--dest-creds={':'.join(LOGIN)}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        with pytest.raises(DeniedError, match="without credentials"):
            pulled(f"{host}/iris:1", tmp_path)
        run(
            "skopeo", "login", "--tls-verify=false", "--authfile", str(auth), "--username", LOGIN[0],
            "--password", LOGIN[1], host,
        )  # fmt: skip
        assert pulled(f"{host}/iris:1", tmp_path, REGISTRY_AUTH_FILE=str(auth)) == iris.digest
