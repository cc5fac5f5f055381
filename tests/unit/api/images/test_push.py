"""What a push would do is known before it is done; names lead to the right places."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from tiffin.api.containers.run import _image
from tiffin.api.images.copy import copy
from tiffin.api.images.pull import pull
from tiffin.api.images.push import PushPlan, State, plan_push, push
from tiffin.api.images.tags import tag, tags
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError, NotFoundError, TiffinError, UnsupportedError
from tiffin.oci.documents import INDEX, LAYER, Descriptor, History, ImageConfig, Index, RootFS, encode
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform

LAYERS = {"base": b"base" * 100, "code": b"code" * 10}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return Home.of({"TIFFIN_HOME": str(tmp_path / "home")})


@pytest.fixture
def other(tmp_path: Path) -> Home:
    return Home.of({"TIFFIN_HOME": str(tmp_path / "other")})


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        yield running


@pytest.fixture
def iris(home: Home) -> Image:
    return make(home)


def make(home: Home, **changed: bytes) -> Image:
    contents = LAYERS | changed
    layers = [Descriptor.of(data, LAYER) for data in contents.values()]
    for layer, data in zip(layers, contents.values(), strict=True):
        home.store.put(layer, io.BytesIO(data))
    here = Platform.here()
    config = ImageConfig(
        architecture=here.architecture,
        os=here.os,
        rootfs=RootFS(diff_ids=[layer.digest for layer in layers]),
        history=[History(created_by="tiffin", comment=title) for title in contents],
    )
    image = Image.make(config, layers, {})
    image.write(home.store)
    home.store.tag("iris:latest", image.descriptor)
    return image


def states(plan: PushPlan) -> dict[str, State]:
    return {part.title: part.state for part in plan.parts}


def test_a_plan_says_what_is_there_and_what_is_sent(registry: FaultyRegistry, home: Home, iris: Image) -> None:
    name = f"{registry.host}/team/iris:1"
    plan = plan_push("iris", name, home=home)
    assert states(plan) == dict.fromkeys(["base", "code", "config", "manifest"], State.SEND)
    assert plan.moves == plan.size == sum(part.size for part in plan.parts)
    assert not {asked.method for asked in registry.asked} - {"GET", "HEAD"}, "a plan moves nothing"
    assert push("iris", name, home=home) == f"{registry.host}/team/iris@{iris.descriptor.digest}"
    assert set(states(plan_push("iris", name, home=home)).values()) == {State.THERE}
    make(home, code=b"edited")
    plan = plan_push("iris", name, home=home)
    assert {title for title, state in states(plan).items() if state is State.SEND} == {"code", "config", "manifest"}


def test_what_another_repository_was_given_is_mounted(registry: FaultyRegistry, home: Home, iris: Image) -> None:
    push("iris", f"{registry.host}/one/iris:1", home=home)
    registry.stored, registry.blobs = dict(registry.blobs), {}
    registry.elsewhere = {"one/iris": set(registry.stored)}
    registry.manifests.clear()
    sent = registry.received
    target = f"{registry.host}/two/iris:1"
    assert set(states(plan_push("iris", target, home=home)).values()) == {State.SEND}, "it is not there any more"
    push("iris", target, home=home)
    assert registry.received == sent, "all blobs were mounted"
    assert iris.manifest.layers[0].digest in registry.blobs


def test_a_tag_that_means_the_image_is_not_written_again(registry: FaultyRegistry, home: Home, iris: Image) -> None:
    for _ in range(2):
        push("iris", f"{registry.host}/team/iris:1", home=home)
    assert [asked.path for asked in registry.asked if asked.path.endswith("manifests/1") and asked.method == "PUT"] == [
        "/v2/team/iris/manifests/1"
    ]
    assert registry.manifests["1"][1] == iris.manifest_bytes


def test_an_image_travels_to_another_home_and_is_the_same(
    registry: FaultyRegistry, home: Home, other: Home, iris: Image
) -> None:
    name = f"{registry.host}/team/iris:1"
    push("iris", name, home=home)
    assert pull(name, home=other) == f"{registry.host}/team/iris@{iris.descriptor.digest}"
    found = find_image(other.store, name)
    assert (found.manifest_bytes, found.config_bytes) == (iris.manifest_bytes, iris.config_bytes)
    assert all(other.store.exists(layer) for layer in iris.manifest.layers)
    by_digest = f"{registry.host}/team/iris@{iris.descriptor.digest}"
    assert pull(by_digest, home=other) == by_digest


def test_of_an_index_this_machines_image_is_pulled_and_all_are_copied(
    registry: FaultyRegistry, home: Home, other: Home, iris: Image, tmp_path: Path
) -> None:
    here = Descriptor(
        media_type=iris.descriptor.media_type,
        digest=iris.descriptor.digest,
        size=iris.descriptor.size,
        platform=Platform.here(),
    )
    push("iris", f"{registry.host}/team/iris:1", home=home)
    index = encode(Index(manifests=[here]))
    registry.add_manifest(index, INDEX, "all")
    name = f"{registry.host}/team/iris:all"
    assert pull(name, home=other).endswith(iris.descriptor.digest)
    assert find_image(other.store, name).descriptor.digest == iris.descriptor.digest
    digest = Descriptor.of(index, INDEX).digest
    assert copy(name, f"oci:{tmp_path}/layout:all", home=other).endswith(digest)
    assert copy(f"oci:{tmp_path}/layout:all", f"{registry.host}/mirror/iris:all", home=other).endswith(digest)
    assert registry.manifests["all"] == (INDEX, index)


def test_run_pulls_what_is_not_here_and_has_a_registry(
    registry: FaultyRegistry, home: Home, other: Home, iris: Image
) -> None:
    name = f"{registry.host}/team/iris:1"
    push("iris", name, home=home)
    assert _image(name, other)[1].manifest_bytes == iris.manifest_bytes
    asked = len(registry.asked)
    assert _image(name, other)[1].manifest_bytes == iris.manifest_bytes
    assert len(registry.asked) == asked, "what is here is not asked for"
    with pytest.raises(NotFoundError, match="no image named iris"):
        _image("iris", other)


def test_tags_here_and_there(registry: FaultyRegistry, home: Home, iris: Image) -> None:
    name = f"{registry.host}/team/iris"
    assert tag("iris", f"{name}:b", home=home) == f"{name}@{iris.descriptor.digest}"
    push(f"{name}:b", home=home)
    push(f"{name}:b", f"{name}:a", home=home)
    assert tags(name) == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        ("iris", "oci:layout", ConfigError, "what the image is called there"),
        ("iris", "docker-archive:a.tar", UnsupportedError, "only read"),
        ("iris", "other@sha256:" + "0" * 64, ConfigError, "has no digest"),
        ("iris", "127.0.0.1:1/iris@sha256:" + "0" * 64, ConfigError, "another digest"),
        ("oci:/nowhere:x", "here", NotFoundError, "no /nowhere"),
        ("nobody", "here", NotFoundError, "no image named nobody"),
    ],
)
def test_a_copy_that_cannot_be_says_so_before_anything_moves(
    home: Home, iris: Image, source: str, target: str, error: type[TiffinError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        copy(source, target, home=home)
    assert caught.value.hint
    assert home.store.names().keys() == {"iris:latest"}, iris.descriptor.digest


@pytest.mark.parametrize("name", ["iris", "team/iris:1"])
def test_what_names_no_registry_is_not_pushed(home: Home, iris: Image, name: str) -> None:
    with pytest.raises(ConfigError, match="names no registry"):
        push("iris", name, home=home)
    assert iris


def test_one_image_is_not_all_tags() -> None:
    with pytest.raises(ConfigError, match="is one image"):
        tags("registry.example/team/iris:1")


def test_nothing_is_named_until_all_of_it_is_here(
    registry: FaultyRegistry, home: Home, other: Home, iris: Image
) -> None:
    name = f"{registry.host}/team/iris:1"
    push("iris", name, home=home)
    registry.faults[iris.manifest.layers[0].digest] = [Fault(status=403)]
    with pytest.raises(TiffinError, match="403"):
        pull(name, home=other)
    assert other.store.names() == {}
    assert pull(name, home=other).endswith(iris.descriptor.digest)
