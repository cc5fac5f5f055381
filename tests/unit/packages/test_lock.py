"""The lock says which files, the same way every time, and reads back as it was written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock

from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.layers.overlap import Overlap
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform
from tiffin.packages.base_image import BaseImage, BaseLayer, PythonBuild
from tiffin.packages.debian.pins import BasePins
from tiffin.packages.lock import (
    Inputs,
    LayerRecord,
    Lock,
    dumps,
    is_stale,
    loads,
    read_lock,
    with_layers,
    write_lock,
)
from tiffin.packages.pins import DebPin, Origin, WheelPin

INPUTS = Inputs(
    requirements=("scikit-learn==1.9.1", "pandas"),
    python="3.11",
    platform=Platform.parse("linux/amd64"),
    base="debian:bookworm",
    packages=("libgomp1",),
)
NUMPY = WheelPin(
    name="numpy",
    version="2.4.6",
    filename="numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl",
    sha256=Digest.of(b"numpy"),
    size=17,
)
LIBC = DebPin(
    name="libc6",
    version="2.36-9",
    architecture="amd64",
    path="pool/main/g/glibc/libc6_2.36-9_amd64.deb",
    sha256=Digest.of(b"libc6"),
    size=3,
)
BASE = BasePins(suite="bookworm", python="3.11", architecture="amd64", base=(LIBC,), interpreter=(LIBC,))
RECORD = LayerRecord(digest=Digest.of(b"blob"), diff_id=Digest.of(b"tar"), size=5, unpacked_size=9)
MINE = WheelPin(name="mine", version="1", filename="mine-1-py3-none-any.whl", sha256=Digest.of(b"mine"), size=5)
ORIGIN = Origin(source=Digest.of(b"folder"), path="libs/mine", needs=("numpy>=2",), requires=(NUMPY,))
LOCK = with_layers(Lock.make(INPUTS, [NUMPY], BASE), {Digest.of(b"recipe"): RECORD})

WRITTEN = f"""\
# Written by `tiffin lock`; `tiffin build` adds the layers. Commit it.
lock-version = "1.0"
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
requires-python = "==3.11.*"
created-by = "tiffin"

[[packages]]
name = "numpy"
version = "2.4.6"
wheels = [{{ path = "{NUMPY.filename}", size = 17, hashes = {{ sha256 = "{NUMPY.sha256.hex}" }} }}]

[tool.tiffin]
schema = 1
inputs = "{INPUTS.digest}"
python = "3.11"
platform = "linux/amd64"
base = "debian:bookworm"
requirements = [
  "pandas",
  "scikit-learn==1.9.1",
]
packages = [
  "libgomp1",
]
"""


def test_a_lock_reads_like_a_list_of_packages() -> None:
    assert dumps(LOCK).startswith(WRITTEN)


def test_a_converter_is_locked_beside_the_packages_and_never_among_them() -> None:
    lock = msgspec.structs.replace(LOCK, converter=(MINE,))
    assert loads(dumps(lock)) == lock
    assert [package.name for package in Pylock.from_dict(tomllib.loads(dumps(lock))).packages] == ["numpy"]


@pytest.mark.parametrize(("convert", "had", "said"), [("onnx", (), "was set"), ("", (MINE,), "was removed")])
def test_a_conversion_that_comes_or_goes_makes_a_lock_stale(convert: str, had: tuple[WheelPin, ...], said: str) -> None:
    lock = msgspec.structs.replace(LOCK, converter=had)
    if had:
        lock = msgspec.structs.replace(lock, inputs=msgspec.structs.replace(INPUTS, convert="onnx").digest)
    now = msgspec.structs.replace(INPUTS, convert=convert)
    assert said in (is_stale(lock, now) or "")
    assert is_stale(msgspec.structs.replace(lock, inputs=now.digest), now) is None


def test_a_lock_is_a_pylock_of_pep_751() -> None:
    pylock = Pylock.from_dict(tomllib.loads(dumps(LOCK)))
    assert [(package.name, str(package.version)) for package in pylock.packages] == [("numpy", "2.4.6")]


def test_a_lock_holds_no_address() -> None:
    assert "://" not in dumps(LOCK)


TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
NAME = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="/"), min_size=1).filter(
    lambda name: name not in {".", ".."}
)
DIGEST = st.binary(max_size=4).map(Digest.of)
SIZE = st.integers(0, 1 << 40)
WHEEL = st.builds(WheelPin, name=TEXT, version=TEXT, filename=NAME, sha256=DIGEST, size=SIZE)
DEB = st.builds(DebPin, name=TEXT, version=TEXT, architecture=TEXT, path=TEXT, sha256=DIGEST, size=SIZE)
LAYER = st.builds(LayerRecord, digest=DIGEST, diff_id=DIGEST, size=SIZE, unpacked_size=SIZE)
OVERLAP = st.builds(
    Overlap, wheels=st.lists(TEXT, min_size=2, max_size=3).map(tuple), paths=SIZE, first=st.tuples(TEXT)
)
BASE_LAYER = st.builds(BaseLayer, media_type=TEXT, digest=DIGEST, diff_id=DIGEST, size=SIZE, unpacked_size=SIZE)
BASE_IMAGE = st.builds(
    BaseImage,
    digest=DIGEST,
    layers=st.lists(BASE_LAYER, max_size=2).map(tuple),
    program=TEXT,
    library=TEXT,
    glibc=st.tuples(st.just(2), st.integers(0, 99)),
    env=st.lists(TEXT, max_size=2).map(tuple),
    links=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
)
BUILD = st.builds(PythonBuild, filename=TEXT, sha256=DIGEST, size=SIZE)
SOME_INPUTS = st.builds(
    Inputs,
    requirements=st.lists(TEXT, max_size=3).map(tuple),
    constraints=st.lists(TEXT, max_size=2).map(tuple),
    python=st.sampled_from(["3.11", "3.13.2"]),
    platform=st.sampled_from(["linux/amd64", "linux/arm64"]).map(Platform.parse),
    base=TEXT,
    packages=st.lists(TEXT, max_size=3).map(tuple),
)


@given(
    SOME_INPUTS,
    st.lists(WHEEL, max_size=3),
    st.lists(DEB, max_size=3),
    st.tuples(st.dictionaries(DIGEST, LAYER, max_size=3), st.none() | st.lists(OVERLAP, max_size=2).map(tuple)),
)
def test_any_lock_reads_back_as_it_was_written(
    inputs: Inputs, wheels: list[WheelPin], debs: list[DebPin], learnt: tuple[dict[Digest, LayerRecord], Any]
) -> None:
    base = msgspec.structs.replace(BASE, base=tuple(debs), interpreter=tuple(debs[:1]), packages=tuple(debs[1:]))
    layers, overlaps = learnt
    lock = msgspec.structs.replace(with_layers(Lock.make(inputs, wheels, base), layers), overlaps=overlaps)
    assert loads(dumps(lock)) == lock
    assert dumps(loads(dumps(lock))) == dumps(lock)


@given(SOME_INPUTS, BASE_IMAGE, BUILD)
def test_a_lock_on_another_base_reads_back_too(inputs: Inputs, image: BaseImage, build: PythonBuild) -> None:
    for lock in (Lock.make(inputs, base_image=image), Lock.make(inputs, python_build=build)):
        assert loads(dumps(lock)) == lock


def test_another_archive_of_the_interpreter_makes_a_lock_stale() -> None:
    build = PythonBuild(filename="cpython.tar.gz", sha256=Digest.of(b"cpython"), size=1)
    inputs = msgspec.structs.replace(INPUTS, build=build.sha256.hex)
    lock = Lock.make(inputs, python_build=build)
    assert is_stale(lock, inputs) is None
    assert is_stale(lock, INPUTS) == "the archive of the interpreter changed"


@given(SOME_INPUTS, st.randoms(use_true_random=False))
def test_the_order_of_inputs_means_nothing(inputs: Inputs, random: Random) -> None:
    shuffled = msgspec.structs.replace(
        inputs,
        requirements=tuple(random.sample(inputs.requirements, len(inputs.requirements))),
        packages=tuple(random.sample(inputs.packages, len(inputs.packages))),
    )
    assert shuffled.digest == inputs.digest
    assert is_stale(Lock.make(inputs), shuffled) is None


STALE = {
    "python was 3.11 and is 3.13": {"python": "3.13"},
    "platform was linux/amd64 and is linux/arm64": {"platform": Platform.parse("linux/arm64")},
    "base was debian:bookworm and is debian:trixie": {"base": "debian:trixie"},
    "requirements: scipy was added": {"requirements": ("pandas", "scikit-learn==1.9.1", "scipy")},
    "requirements: pandas>=3 was added, pandas was removed": {"requirements": ("scikit-learn==1.9.1", "pandas>=3")},
    "packages: libgomp1 was removed": {"packages": ()},
    "constraints or hashes changed": {"constraints": ("numpy<3",)},
}


@pytest.mark.parametrize("reason", STALE)
def test_a_stale_lock_says_why(reason: str) -> None:
    changed = msgspec.structs.replace(INPUTS, **STALE[reason])
    assert is_stale(LOCK, changed) == reason
    assert is_stale(LOCK, INPUTS) is None


def test_a_changed_hash_makes_a_lock_stale() -> None:
    hashed = msgspec.structs.replace(
        INPUTS, requirements=(*INPUTS.requirements[:1], f"pandas --hash=sha256:{'a' * 64}")
    )
    assert is_stale(LOCK, hashed) == "constraints or hashes changed"
    assert is_stale(Lock.make(hashed), hashed) is None


def test_completing_a_lock_with_layers_leaves_it_fresh() -> None:
    bare = with_layers(LOCK, {})
    assert bare.layers == {}
    assert is_stale(bare, INPUTS) is None
    assert dumps(LOCK).startswith(dumps(bare))


GOOD = dumps(LOCK)
WRONG = {
    "not TOML": (GOOD + "=", "line"),
    "an unknown key": (GOOD.replace("schema = 1", "schema = 1\nsurprise = 2"), r"surprise.*\$\.tool\.tiffin"),
    "a wrong type": (GOOD.replace("size = 17", 'size = "17"'), r"\$\.packages\[0\]\.wheels\[0\]\.size"),
    "a missing table": (GOOD[: GOOD.index("[tool.tiffin]")], "tool"),
    "a digest cut short": (GOOD.replace(NUMPY.sha256.hex, NUMPY.sha256.hex[:-1]), "not a digest"),
    "a deb's digest cut short": (GOOD.replace(str(LIBC.sha256), str(LIBC.sha256)[:-1]), r"not a digest.*\$"),
    "a path that leads away": (GOOD.replace(NUMPY.filename, "../x.whl"), "not a bare file name"),
    "two wheels of a package": (GOOD.replace("} }]", "} }, {}]"), "wheels"),
    "an unknown platform": (GOOD.replace("linux/amd64", "plan9/mips"), "unknown platform"),
    "tool that is no table": ("tool = 1", "pylock"),
    "nothing": ("", "lock-version"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_lock_is_refused_with_file_and_place(name: str, tmp_path: Path) -> None:
    text, words = WRONG[name]
    path = tmp_path / "pylock.tiffin.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        read_lock(path)
    assert caught.value.message.startswith(str(path))
    assert "tiffin lock" in (caught.value.hint or "")


def test_a_lock_of_a_newer_tiffin_is_not_misread() -> None:
    with pytest.raises(UnsupportedError, match="newer tiffin"):
        loads(GOOD.replace("schema = 1", "schema = 2\nnovelty = true"))


def test_a_lock_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no lock at") as caught:
        read_lock(tmp_path / "pylock.tiffin.toml")
    assert "tiffin lock" in (caught.value.hint or "")


def test_writing_the_same_lock_again_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pylock.tiffin.toml"
    write_lock(LOCK, path)
    before = path.stat()
    write_lock(LOCK, path)
    assert path.stat().st_ino == before.st_ino
    write_lock(with_layers(LOCK, {}), path)
    assert read_lock(path) == with_layers(LOCK, {})
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "origin",
    [
        ORIGIN,
        Origin(source=Digest.of(b"sdist"), sdist="mine-1.tar.gz"),
        Origin(source=MINE.sha256, path="mine-1-py3-none-any.whl"),
    ],
)
def test_a_wheel_says_what_it_was_built_from_and_any_installer_still_reads_the_lock(origin: Origin) -> None:
    lock = Lock.make(INPUTS, [NUMPY, MINE], BASE, origins={"mine": origin})
    assert loads(dumps(lock)) == lock
    document = tomllib.loads(dumps(lock))
    Pylock.from_dict(document)
    told = {each["name"]: each.get("tool", {}).get("tiffin", {}) for each in document["packages"]}
    assert told["mine"]["built"] is (origin.source != MINE.sha256)
    assert not told["numpy"]
