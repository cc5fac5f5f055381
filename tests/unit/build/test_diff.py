"""What is said of two images: in the words of whoever owns the model, and in bytes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tiffin.build.contents import ImageContents
from tiffin.build.diff import Change, diff
from tiffin.layers.listing import DEB, WHEEL, Package
from unit.build.contents import image, layer

BASE = layer("base", {"usr/bin/python3.11": 100, "lib/a": 5}, packages={Package(DEB, "libc6", "1"): ["lib/a"]})
SERVICE = "opt/tiffin/service.json"


def changes(before: ImageContents, after: ImageContents) -> list[tuple[str, str, str, str]]:
    return [(change.what, change.name, change.before, change.after) for change in diff(before, after).changes]


def wheel(name: str, version: str) -> dict[Package, list[str]]:
    return {Package(WHEEL, name, version): [f"site/{name}.py"]}


def test_an_image_does_not_differ_from_itself() -> None:
    found = diff(image(BASE), image(BASE))
    assert (found.changes, found.moves, found.grows, found.other_files) == ([], 0, 0, 0)


def test_a_push_moves_the_layers_that_are_not_shared_and_the_documents() -> None:
    found = diff(image(BASE), image(BASE, layer("code", {"app/a.py": 40})))
    assert [(row.layer, row.shared) for row in found.layers] == [("base", True), ("code", False)]
    assert (found.moves, found.grows) == (120, 20)


def test_packages_are_added_removed_and_bumped() -> None:
    before = image(
        layer("a", {"site/numpy.py": 1}, packages=wheel("numpy", "1.0")),
        layer("b", {"site/old.py": 2}, packages=wheel("old", "3")),
    )
    after = image(
        layer("a", {"site/numpy.py": 2}, packages=wheel("numpy", "2.0")),
        layer("b", {"site/new.py": 2}, packages=wheel("new", "4")),
    )
    assert changes(before, after) == [
        ("package", "new", "", "4"),
        ("package", "numpy", "1.0", "2.0"),
        ("package", "old", "3", ""),
    ]


def test_python_and_debian_packages_are_told() -> None:
    newer = layer("base", {"usr/bin/python3.13": 100, "lib/a": 6}, packages={Package(DEB, "libc6", "2"): ["lib/a"]})
    assert changes(image(BASE), image(newer)) == [
        ("python", "3.11", "3.11", ""),
        ("python", "3.13", "", "3.13"),
        ("debian", "libc6", "1", "2"),
    ]


def test_weights_and_code_are_told_by_file_and_others_are_counted() -> None:
    before = image(BASE, layer("mine", {"models/m.joblib": "1", "app/a.py": "1", "etc/x": "1"}))
    after = image(BASE, layer("mine", {"models/m.joblib": "2", "app/b.py": "1", "etc/x": "2"}))
    found = diff(before, after)
    assert [(change.what, change.name) for change in found.changes] == [
        ("code", "app/a.py"),
        ("code", "app/b.py"),
        ("weights", "models/m.joblib"),
    ]
    assert found.other_files == 1


def test_code_lies_in_the_working_directory_of_any_image() -> None:
    before, after = (image(layer("code", {"srv/x.py": text}), working_dir="/srv") for text in "12")
    assert [row[:2] for row in changes(before, after)] == [("code", "srv/x.py")]


def test_settings_are_told_by_their_path() -> None:
    before, after = (
        image(layer("metadata", {SERVICE: rows}, texts={SERVICE: json.dumps({"serve": {"max_batch": rows}})}))
        for rows in (32, 64)
    )
    assert changes(before, after) == [("service", "serve.max_batch", "32", "64")]


def test_how_it_starts_is_told_in_a_dockerfiles_words() -> None:
    before = image(BASE, env=["A=1", "B=2"], cmd=["a"])
    after = image(BASE, env=["A=1", "B=3"], cmd=["b"], user="1000")
    assert changes(before, after) == [
        ("start", "CMD", '["a"]', '["b"]'),
        ("start", "ENV B", "2", "3"),
        ("start", "USER", "", "1000"),
    ]


tables = st.dictionaries(st.sampled_from(["app/a", "app/b", "models/m", "models/n"]), st.sampled_from("123"))


@given(tables, tables)
def test_turned_round_the_changes_are_turned_round(one: dict[str, str | int], other: dict[str, str | int]) -> None:
    before, after = image(BASE, layer("x", one)), image(BASE, layer("x", other))
    turned = [Change(what=c.what, name=c.name, before=c.after, after=c.before) for c in diff(after, before).changes]
    assert diff(before, after).changes == turned
