"""What is said of an image beside the one it comes to: identical, carried or different, and why."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiffin.build.carried import PROJECT as DOCUMENT
from tiffin.build.carried import project_text
from tiffin.build.make import make
from tiffin.build.plan import BuildPlan, plan_image
from tiffin.build.recipes import Metadata, Wheels
from tiffin.build.reproduce import Reproduction, reproduce, without_gone
from tiffin.build.workshop import Workshop
from tiffin.errors import IntegrityError, NotFoundError, UnavailableError
from tiffin.layers.entry import Entry
from tiffin.layers.write import write_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import Image
from tiffin.packages.pins import WheelPin
from tiffin.store.memory import MemoryStore
from tiffin.store.records import Records
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, PROJECT, SERVER
from wheelhouse import File, wheel

TEXT = project_text(PROJECT)
FILES = [wheel("one"), wheel("two")]
RECIPES = [
    Wheels(
        wheels=(
            WheelPin(
                name=file.project,
                version="1.0",
                filename=file.name,
                sha256=Digest.of(file.data),
                size=len(file.data),
            ),
        )
    )
    for file in FILES
]


def plan(*recipes: Wheels | Metadata) -> BuildPlan:
    """A plan of these layers, with the settings of any."""
    whole = plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD)
    return msgspec.structs.replace(whole, recipes=(*recipes, Metadata(texts={DOCUMENT: TEXT})))


PLAN = plan(*RECIPES)


def workshop(root: Path, files: Sequence[File] = FILES) -> Workshop:
    """An empty workshop whose index has these files."""
    root.mkdir(exist_ok=True)
    there = {file.into(root).name for file in files}

    def fetch(pins: Sequence[Any]) -> list[Path]:
        for pin in pins:
            if pin.filename not in there:
                raise NotFoundError(
                    f"the lock[0], the lock[2]: {pin.filename} is not on the index any more\nsaid at length"
                )
        return [root / pin.filename for pin in pins]

    def nothing(_: Sequence[Any]) -> Any:
        raise AssertionError

    return Workshop(
        store=MemoryStore(),
        layers=Records(root / "layers"),
        images=Records(root / "images"),
        bytecode=Records(root / "bytecode"),
        wheels=fetch,
        libraries=Records(root / "libraries"),
        debs=nothing,
        bring=nothing,
        archive=nothing,
        compiler=nothing,
        sources={},
    )


@pytest.fixture
def built(tmp_path: Path) -> tuple[Image, MemoryStore]:
    """The image of the plan, and the store that it lies in."""
    shop = workshop(tmp_path / "built")
    store = shop.store
    assert isinstance(store, MemoryStore)
    return make(PLAN, shop), store


def again(built: tuple[Image, MemoryStore], root: Path, plan: BuildPlan = PLAN, **with_: Any) -> Reproduction:
    return reproduce("iris", *built, plan, without_gone(workshop(root / "again", **with_)))


def told(found: Reproduction) -> list[tuple[str, str, str]]:
    return [(row.layer, row.verdict, row.why) for row in found.layers]


def test_the_same_plan_comes_to_the_same_image(built: tuple[Image, MemoryStore], tmp_path: Path) -> None:
    found = again(built, tmp_path)
    assert found.identical
    assert found.rebuilt == found.digest == built[0].descriptor.digest
    assert told(found) == [(name, "identical", "") for name in ("one", "two", "metadata", "settings")]


def test_a_package_that_is_gone_is_taken_from_the_image(built: tuple[Image, MemoryStore], tmp_path: Path) -> None:
    found = again(built, tmp_path, files=FILES[:1])
    assert (found.identical, found.carried) == (True, 1)
    assert told(found)[1] == ("two", "carried", "two-1.0-py3-none-any.whl is not on the index any more")


def test_a_network_that_is_down_is_an_error(built: tuple[Image, MemoryStore], tmp_path: Path) -> None:
    def down(_: Sequence[WheelPin]) -> list[Path]:
        raise UnavailableError("the index does not answer")

    shop = without_gone(msgspec.structs.replace(workshop(tmp_path / "again"), wheels=down))
    with pytest.raises(UnavailableError):
        reproduce("iris", *built, PLAN, shop)


def test_a_carried_blob_that_is_damaged_is_not_believed(built: tuple[Image, MemoryStore], tmp_path: Path) -> None:
    image, store = built
    store._blobs[image.manifest.layers[1].digest] = b"damaged"
    with pytest.raises(IntegrityError, match=image.manifest.layers[1].digest):
        again(built, tmp_path, files=FILES[:1])
    assert told(again(built, tmp_path))[1][1:] == ("differs", "its blob is damaged: pull or build the image again")


def test_layers_that_only_one_of_the_two_has_are_named(built: tuple[Image, MemoryStore], tmp_path: Path) -> None:
    found = again(built, tmp_path, plan(RECIPES[0]))
    assert not found.identical
    assert ("two", "differs", "not expected") in told(found)
    more = plan(*RECIPES, msgspec.structs.replace(RECIPES[0]))
    assert ("one", "differs", "missing") in told(again(built, tmp_path, more))


def test_a_layer_that_is_only_compressed_otherwise_says_so(built: tuple[Image, MemoryStore], tmp_path: Path) -> None:
    image, store = built
    entries = [Entry.directory("app"), Entry.directory("models"), Entry.of(DOCUMENT, TEXT.encode())]
    layer, plain = write_layer(entries, store), write_layer(entries, store, compress=False)
    assert layer.diff_id == plain.diff_id
    layers = [*image.manifest.layers[:-1], plain.descriptor]
    other = Image.make(image.config, layers, image.manifest.annotations)
    other.write(store)
    assert ("metadata", "differs", "the same files, compressed otherwise") in told(again((other, store), tmp_path))


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (["config", "User"], "0:0", 'config.User is "0:0", not "65532:65532"'),
        (["config", "Env"], ["A=1"], 'config.Env is ["A=1"], not ["PATH='),
        (["history", 0, "comment"], "one", ""),
        (["author"], "somebody", 'author is "somebody", not null'),
    ],
)
def test_settings_that_differ_are_named(
    built: tuple[Image, MemoryStore], tmp_path: Path, place: list[Any], value: Any, why: str
) -> None:
    image, store = built
    config = json.loads(image.config_bytes)
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    data = json.dumps(config).encode()
    other = Image.wrap(data, image.config, image.manifest.layers, image.manifest.annotations)
    store.put(Descriptor.of(data, ""), io.BytesIO(data))
    other.write(store)
    layer, verdict, told_why = told(again((other, store), tmp_path))[-1]
    assert (layer, verdict) == ("settings", "differs")
    assert told_why.startswith(why or "the same meaning, written otherwise")
