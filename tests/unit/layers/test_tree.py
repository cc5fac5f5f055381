"""Layers seen as one root: what is upper counts, what is taken away is gone, links lead where a container's would."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConfigError, IntegrityError, UnsupportedError
from tiffin.layers.interpreter import FoundPython, find_glibc, find_python, of_interest
from tiffin.layers.members import FILE
from tiffin.layers.tree import Changes, Tree, read_changes, read_tree
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER

Layer = dict[str, bytes | str | None]
"""Paths: content, a link's text, or a folder."""

ELF = b"\x7fELF\x02\x01\x01" + bytes(11) + (62).to_bytes(2, "little") + bytes(44)
GLIBC = b"\x7fELF\0GNU C Library (Debian GLIBC 2.36-9+deb12u9) stable release version 2.36.\n\0"


def tar(layer: Layer) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, what in layer.items():
            member = tarfile.TarInfo(path)
            member.mode = 0o755
            if what is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(what, str):
                member.type, member.linkname = tarfile.SYMTYPE, what
            else:
                member.size = len(what)
            archive.addfile(member, io.BytesIO(what if isinstance(what, bytes) else b""))
    return packed.getvalue()


def tree(*layers: Layer) -> Tree:
    packed = [tar(layer) for layer in layers]
    return read_tree([(io.BytesIO(data), LAYER, Digest.of(data)) for data in packed], lambda _: 1 << 20)


def text(seen: Tree, path: str) -> bytes | None:
    node = seen.get(path)
    return node.data if node and node.kind == FILE else None


def test_the_upper_layer_counts() -> None:
    seen = tree({"a/f": b"low", "a/g": b"low"}, {"a/f": b"high"})
    assert (text(seen, "/a/f"), text(seen, "/a/g")) == (b"high", b"low")


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ({"a/.wh.f": b""}, {"/a", "/a/d", "/a/d/f", "/b"}),
        ({"a/.wh.d": b""}, {"/a", "/a/f", "/b"}),
        ({"a/.wh..wh..opq": b""}, {"/a", "/b"}),
        ({"a/new": b"", "a/.wh..wh..opq": b""}, {"/a", "/a/new", "/b"}),
        ({".wh.a": b"", "a/new": b""}, {"/a", "/a/new", "/b"}),
        ({"a": b"a file"}, {"/a", "/b"}),
        ({"a": "b"}, {"/a", "/b"}),
        ({"b/f": b"its parent was a link"}, {"/a", "/a/d", "/a/d/f", "/a/f", "/b", "/b/f"}),
    ],
)
def test_what_is_taken_away_or_replaced_is_gone(upper: Layer, left: set[str]) -> None:
    assert {path for path, _ in tree({"a/f": b"", "a/d/f": b"", "b": "a"}, upper).below("/")} == left


def test_links_are_followed_and_parents_too() -> None:
    seen = tree({"usr/bin/tool": b"x", "bin": "usr/bin", "opt": "/var/opt", "loop": "loop", "out": "../../bin"})
    assert seen.resolve("/bin/tool") == seen.resolve("/out/tool") == "/usr/bin/tool"
    assert (seen.resolve("/opt/venv"), seen.link("/opt"), seen.link("/usr")) == ("/var/opt/venv", "/var/opt", None)
    assert [path for path, _ in seen.below("/bin")] == ["/usr/bin/tool"]
    with pytest.raises(ConfigError, match="too many"):
        seen.resolve("/loop/x")


PATHS = st.sampled_from(["a", "a/b", "a/b/c", "d", "a/.wh.b", ".wh.a", "a/.wh..wh..opq"])


@given(st.lists(st.dictionaries(PATHS, st.booleans()), max_size=4))
def test_a_stack_is_the_same_in_one_go_and_layer_by_layer(shapes: list[dict[str, bool]]) -> None:
    layers = [{path: (b"x" if file or ".wh." in path else None) for path, file in shape.items()} for shape in shapes]
    layers = [layer for layer in layers if not any(is_below_a_file(path, layer) for path in layer)]
    seen = dict(tree(*layers).below("/"))
    for path in seen:
        assert path.rpartition("/")[0] in {"", *seen}, "every parent is there"
    again = tree(*layers, {})
    assert dict(again.below("/")) == seen


def is_below_a_file(path: str, layer: dict[str, bytes | None]) -> bool:
    return any(path.startswith(f"{other}/") and what is not None for other, what in layer.items())


def test_a_layer_of_other_bytes_or_paths_that_lead_out_is_refused() -> None:
    data = tar({"f": b"x"})
    with pytest.raises(IntegrityError, match="not to its diff ID"):
        read_changes(io.BytesIO(data), LAYER, Digest.of(b"other"), lambda _: 0)
    data = tar({"a/../../f": b"x"})
    with pytest.raises(IntegrityError, match="no path inside"):
        read_changes(io.BytesIO(data), LAYER, Digest.of(data), lambda _: 0)


def test_the_size_of_a_layer_is_told() -> None:
    data = tar({"f": b"x"})
    found: Changes = read_changes(io.BytesIO(data), LAYER, Digest.of(data), lambda _: 0)
    assert (found.size, found.nodes["f"].data) == (len(data), b"")


OFFICIAL: Layer = {
    "usr/local/bin/python3.12": ELF,
    "usr/local/bin/python3": "python3.12",
    "usr/local/lib/python3.12/os.py": b"",
    "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    "lib": "usr/lib",
}
DEBIAN: Layer = {
    "usr/bin/python3.11": ELF,
    "usr/bin/python3": "python3.11",
    "usr/lib/python3.11/os.py": b"",
    "bin": "usr/bin",
}


@pytest.mark.parametrize(
    ("layers", "path", "wanted", "found"),
    [
        ([OFFICIAL], "", "3.12", ("/usr/local/bin/python3.12", "/usr/local/lib/python3.12")),
        ([OFFICIAL, DEBIAN], "", "3.11", ("/usr/bin/python3.11", "/usr/lib/python3.11")),
        ([DEBIAN], "/bin", "3.11", ("/usr/bin/python3.11", "/usr/lib/python3.11")),
        (
            [{"opt/conda/bin/python3.12": ELF, "opt/conda/lib/python3.12/os.py": b""}],
            "/usr/bin",
            "3.12",
            ("/opt/conda/bin/python3.12", "/opt/conda/lib/python3.12"),
        ),
        (
            [{"venv/bin/python": "/usr/bin/python3.11"}, DEBIAN],
            "/venv/bin:/usr/bin",
            "3.11",
            ("/usr/bin/python3.11", "/usr/lib/python3.11"),
        ),
        (
            [{"usr/bin/python3": ELF, "usr/lib64/python3.9/os.py": b""}],
            "",
            "3.9",
            ("/usr/bin/python3", "/usr/lib64/python3.9"),
        ),
    ],
)
def test_an_interpreter_is_found(layers: list[Layer], path: str, wanted: str, found: tuple[str, str]) -> None:
    program, library = found
    expected = FoundPython(program=program, version=wanted, library=library)
    assert find_python(tree(*layers), path, wanted, "x86_64") == expected


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([OFFICIAL], "no Python 3.10 for x86_64: /usr/local/bin/python3.12 is Python 3.12"),
        ([{"usr/bin/python3.10": b"#!/bin/sh", "usr/lib/python3.10/os.py": b""}], "no Python for x86_64"),
        ([{"usr/bin/python3.10": ELF}], "no Python for x86_64"),
        ([DEBIAN, {"usr/lib/.wh.python3.11": b""}], "no Python for x86_64"),
        ([{}], "looked in /usr/local/sbin"),
    ],
)
def test_an_image_without_the_wanted_python_says_what_it_has(layers: list[Layer], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_python(tree(*layers), "", "3.10", "x86_64")


def test_an_interpreter_for_another_machine_is_none() -> None:
    with pytest.raises(ConfigError, match="no Python for aarch64"):
        find_python(tree(OFFICIAL), "", "3.12", "aarch64")


def test_the_c_library_tells_its_version() -> None:
    assert find_glibc(tree(OFFICIAL)) == (2, 36)


@pytest.mark.parametrize(
    ("layer", "message"),
    [({"lib/ld-musl-x86_64.so.1": ELF}, "is built on musl"), ({"usr/bin/x": ELF}, "has no C library")],
)
def test_another_c_library_is_refused(layer: Layer, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        find_glibc(tree(layer))


def test_little_of_a_base_is_kept_in_memory() -> None:
    assert of_interest("usr/lib/x86_64-linux-gnu/libc.so.6") > 0
    assert of_interest("usr/bin/python3.11") == 4096
    assert of_interest("usr/lib/python3.11/os.py") == 0
