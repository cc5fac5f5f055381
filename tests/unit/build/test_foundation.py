"""What an image stands on, read off its lock: the lowest layers, the interpreter, and how containers start."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tiffin.build.environment import account_entries, library_sources
from tiffin.build.foundation import foundation_of
from tiffin.build.plan import BuildPlan, plan_image
from tiffin.build.recipes import Metadata
from tiffin.build.sbom import CYCLONEDX, SPDX
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.write import write_layer
from tiffin.oci.documents import LAYER_GZIP
from tiffin.packages.base_image import BaseImage, BaseLayer, PythonBuild
from tiffin.store.memory import MemoryStore
from unit.build.test_plan import LOCK, PAYLOAD, PROJECT, SERVER, deb, digest, environment

LAYER = BaseLayer(media_type=LAYER_GZIP, digest=digest("blob"), diff_id=digest("tar"), size=1, unpacked_size=2)
IMAGE = BaseImage(
    digest=digest("manifest"),
    layers=(LAYER, msgspec.structs.replace(LAYER, diff_id=digest("other"))),
    program="/usr/local/bin/python3.12",
    library="/usr/local/lib/python3.12",
    glibc=(2, 36),
    env=("PATH=/opt/x/bin:/usr/local/bin:/usr/bin", "LD_LIBRARY_PATH=/opt/x/lib", "PYTHONPATH=/x", "HOME=/root"),
)
ON_IMAGE = {
    "base": "registry.test/team/python:3.12",
    "base_image": IMAGE,
    "python": "3.12",
    "base_debs": (),
    "python_debs": (),
}
ARCHIVE = PythonBuild(filename="cpython.tar.gz", sha256=digest("cpython"), size=1)


def plan(**changed: Any) -> BuildPlan:
    return plan_image(PROJECT, environment(**changed), SERVER, PAYLOAD)


def kinds(made: BuildPlan) -> list[str]:
    return list(dict.fromkeys(type(recipe).__name__ for recipe in made.recipes))


def test_a_base_image_gives_its_layers_and_its_interpreter() -> None:
    made = plan(**ON_IMAGE)
    assert kinds(made)[:4] == ["BaseLayer", "Venv", "LibraryBytecode", "Wheels"]
    assert made.run.entrypoint[0] == "/usr/local/bin/python3.12"
    assert made.run.env == [
        "LD_LIBRARY_PATH=/opt/x/lib",
        "PATH=/opt/venv/bin:/usr/local/bin:/opt/x/bin:/usr/bin:/bin",
        "LANG=C.UTF-8",
        "HOME=/tmp",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
    ]
    assert made.annotations["org.opencontainers.image.base.name"] == "registry.test/team/python:3.12"
    assert made.annotations["org.opencontainers.image.base.digest"] == IMAGE.digest


def test_a_base_in_files_has_no_name_for_others() -> None:
    assert "org.opencontainers.image.base.name" not in plan(**ON_IMAGE | {"base": "oci:/home/me/base"}).annotations


def test_links_of_a_base_are_known_to_every_layer_above_it() -> None:
    links = (("opt", "var/opt"),)
    moved = plan(**ON_IMAGE | {"base_image": msgspec.structs.replace(IMAGE, links=links)})
    assert {type(recipe).__name__ for recipe in moved.recipes if recipe.links != links} == {"BaseLayer"}
    still = {recipe.key for recipe in plan(**ON_IMAGE).recipes}
    assert {type(recipe).__name__ for recipe in moved.recipes if recipe.key in still} == {"BaseLayer"}


def test_another_base_gives_other_bytecode_and_the_same_wheels() -> None:
    other = plan(**ON_IMAGE | {"base_image": msgspec.structs.replace(IMAGE, layers=(LAYER,))})
    before = {recipe.key for recipe in plan(**ON_IMAGE).recipes}
    moved = {type(recipe).__name__ for recipe in other.recipes if recipe.key not in before}
    assert moved == {"Venv", "LibraryBytecode", "WheelBytecode", "Server"}


def test_a_python_in_an_archive_lies_on_debian_above_the_packages_it_may_need() -> None:
    made = plan(python_build=ARCHIVE, python_debs=(), package_debs=(deb("libssl3"),))
    assert kinds(made)[:4] == ["Base", "Packages", "PythonArchive", "LibraryBytecode"]
    assert made.run.entrypoint[0] == "/opt/python/bin/python3.11"
    assert "PATH=/opt/venv/bin:/opt/python/bin:/usr/bin:/bin" in made.run.env
    assert made.annotations["org.opencontainers.image.base.name"] == "debian:bookworm"


def test_the_bill_of_materials_names_base_and_interpreter() -> None:
    metadata = plan(**ON_IMAGE).recipes[-1]
    assert isinstance(metadata, Metadata)
    parts = json.loads(metadata.texts[CYCLONEDX])["components"]
    base, interpreter = parts[:2]
    assert base["type"] == "container"
    assert base["purl"].startswith("pkg:oci/python@sha256%3A")
    assert base["purl"].endswith("repository_url=registry.test%2Fteam%2Fpython")
    assert (interpreter["name"], interpreter["version"]) == ("python", "3.12")
    assert "CONTAINER" in metadata.texts[SPDX]


def test_an_interpreter_is_known_as_a_package_or_as_none() -> None:
    assert foundation_of(LOCK).is_packaged
    assert not foundation_of(msgspec.structs.replace(LOCK, python_build=ARCHIVE, python_debs=())).is_packaged


# --- what is made on an interpreter that is there -----------------------------------------------------------------


def layers(store: MemoryStore, *contents: dict[str, str]) -> list[Layer]:
    return [write_layer([Entry.of(path, text.encode()) for path, text in files.items()], store) for files in contents]


def accounts(*contents: dict[str, str]) -> dict[str, str]:
    store = MemoryStore()
    return {entry.path: read(entry) for entry in account_entries(layers(store, *contents), store)}


def read(entry: Entry) -> str:
    assert entry.open
    with entry.open() as stream:
        return stream.read().decode()


def test_our_user_joins_those_of_the_base() -> None:
    root = "root:x:0:0:root:/root:/bin/sh"
    found = accounts({"etc/passwd": "old"}, {"etc/passwd": root, "etc/group": "root:x:0:\n"})
    assert found["etc/passwd"] == f"{root}\ntiffin:x:65532:65532:tiffin:/tmp:/usr/sbin/nologin\n"
    assert found["etc/group"] == "root:x:0:\ntiffin:x:65532:\n"


def test_a_base_without_accounts_gets_some_and_one_with_our_number_keeps_them() -> None:
    assert accounts({"usr/x": ""})["etc/passwd"].startswith("tiffin:x:65532:")
    assert accounts({"etc/passwd": "nonroot:x:65532:65532::/:/x\n", "etc/group": "nonroot:x:65532:\n"}) == {}


def test_the_standard_library_is_read_as_the_layers_leave_it() -> None:
    store = MemoryStore()
    library = "usr/lib/python3.12"
    made = layers(
        store,
        {f"{library}/os.py": "old", f"{library}/re/a.py": "a", f"{library}/x.so": ""},
        {f"{library}/os.py": "new"},
    )
    found = {entry.path: read(entry) for entry in library_sources(made, f"/{library}", store)}
    assert found == {f"{library}/os.py": "new", f"{library}/re/a.py": "a"}
