"""What is said of an image: every byte has a layer and, where a database knows it, a package."""

from __future__ import annotations

from tiffin.build.contents import titles, tree
from tiffin.build.explain import explain
from tiffin.layers.listing import DEB, WHEEL, Package
from tiffin.oci.documents import History
from unit.build.contents import image, layer

SITE = "opt/venv/lib/site-packages"
NUMPY = Package(WHEEL, "numpy", "2.0")
LIBC = Package(DEB, "libc6", "2.36")


def test_a_row_a_layer_adds_up_to_the_image() -> None:
    found = explain(image(layer("base", {"lib/libc.so.6": 1000}), layer("code", {"app/a.py": 10, "app/b.py": 20})))
    assert [(row.layer, row.packed, row.unpacked, row.files) for row in found.layers] == [
        ("base", 500, 1000, 1),
        ("code", 15, 30, 2),
    ]
    assert (found.packed, found.unpacked, found.files) == (615, 1030, 3)


def test_a_package_is_summed_over_layers_with_its_bytecode() -> None:
    source, compiled = f"{SITE}/numpy/a.py", f"{SITE}/numpy/__pycache__/a.cpython-311.pyc"
    found = explain(
        image(
            layer("base", {"lib/libc.so.6": 50}, packages={LIBC: ["lib/libc.so.6"]}),
            layer("numpy", {source: 100}, packages={NUMPY: [source]}),
            layer("bytecode of numpy", {compiled: 7}),
        )
    )
    assert [(row.name, row.version, row.unpacked, row.files) for row in found.packages] == [
        ("numpy", "2.0", 107, 2),
        ("libc6", "2.36", 50, 1),
    ]
    assert [[row.name for row in layer.packages] for layer in found.layers] == [["libc6"], ["numpy"], ["numpy"]]


def test_the_biggest_files_come_first_and_say_where_they_are() -> None:
    found = explain(image(layer("a", {f"f{n:02}": n for n in range(1, 30)}), layer("b", {"big": 99})))
    assert [(row.path, row.size, row.layer) for row in found.biggest[:2]] == [("big", 99, "b"), ("f29", 29, "a")]
    assert len(found.biggest) == 10


def test_the_same_content_in_several_places_is_found() -> None:
    found = explain(image(layer("a", {"x": "same", "y": "same", "empty": "", "void": ""}), layer("b", {"z": "same"})))
    assert [(row.paths, row.wasted) for row in found.repeated] == [(["x", "y", "z"], 8)]


def test_the_same_library_in_several_builds_is_found() -> None:
    files = {
        "numpy.libs/libgfortran-040039e1-0352e75f.so.5.0.0": "one",
        "scipy.libs/libgfortran-8f1e9814.so.5": "other",
        "usr/lib/libz.so.1": "z",
        "numpy/libfoo.cpython-311-x86_64-linux-gnu.so": "p",
    }
    found = explain(image(layer("a", dict(files))))
    assert [(row.name, row.wasted, len(row.paths)) for row in found.libraries] == [("libgfortran", 3, 2)]


def test_a_file_that_a_layer_above_replaces_or_deletes_is_moved_for_nothing() -> None:
    below = layer("below", {"etc/a": 10, "etc/b": 20, "var/c": 30, "var/d/e": 5, "usr/keep": 1})
    above = layer("above", {"etc/a": 11, "etc/.wh.b": 0, "var/.wh..wh..opq": 0, "var/new": 2})
    found = explain(image(below, above))
    assert [(row.path, row.size) for row in found.hidden] == [
        ("var/c", 30),
        ("etc/b", 20),
        ("etc/a", 10),
        ("var/d/e", 5),
    ]
    assert tree(image(below, above).layers).keys() == {"etc/a", "var/new", "usr/keep"}


def test_what_serving_does_not_need_is_counted_in_wheels_only() -> None:
    files = {f"{SITE}/numpy/tests/test_a.py": 100, f"{SITE}/numpy/include/a.h": 30, f"{SITE}/numpy/libm.a": 8}
    own = layer("numpy", dict(files), packages={NUMPY: list(files)})
    found = explain(image(own, layer("code", {"app/tests/test_b.py": 1000})))
    assert [(row.what, row.files, row.unpacked, row.packed) for row in found.slim] == [
        ("tests", 1, 100, 50),
        ("headers", 1, 30, 15),
        ("static libraries", 1, 8, 4),
    ]


def test_layers_are_called_by_what_made_them() -> None:
    history = [
        History(created_by="tiffin", comment="base"),
        History(created_by="/bin/sh -c #(nop) ENV A=1", empty_layer=True),
        History(created_by="/bin/sh -c #(nop) ADD dir:1 in /app "),
        History(created_by="RUN /bin/sh -c pip install x # buildkit", comment="buildkit.dockerfile.v0"),
    ]
    assert titles(history, 3) == ["base", "ADD dir:1 in /app", "RUN /bin/sh -c pip install x"]
    assert titles(history, 2) == ["layer 1", "layer 2"]
