"""The best wheel for an image is chosen by its tags, whatever this machine is."""

from __future__ import annotations

import pytest

from tiffin.errors import ConfigError
from tiffin.oci.platform import Platform
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.wheels import best, platforms

BOOKWORM = ImagePython(version="3.11", platform=Platform.parse("linux/amd64"), glibc=(2, 36))
ARM = ImagePython(version="3.13.2", platform=Platform.parse("linux/arm64"), glibc=(2, 41))

CHOICES = {
    "a built one before a pure one": (["x-1-py3-none-any.whl", "x-1-cp311-cp311-manylinux_2_17_x86_64.whl"], 1),
    "the own ABI before the stable": (
        ["x-1-cp39-abi3-manylinux_2_28_x86_64.whl", "x-1-cp311-cp311-manylinux_2_17_x86_64.whl"],
        1,
    ),
    "the newest stable ABI": (
        ["x-1-cp38-abi3-manylinux_2_17_x86_64.whl", "x-1-cp310-abi3-manylinux_2_17_x86_64.whl"],
        1,
    ),
    "the newest C library that is there": (
        ["x-1-cp311-cp311-manylinux2014_x86_64.whl", "x-1-cp311-cp311-manylinux_2_28_x86_64.whl"],
        1,
    ),
    "not a newer C library": (
        ["x-1-cp311-cp311-manylinux_2_37_x86_64.whl", "x-1-cp311-cp311-manylinux1_x86_64.whl"],
        1,
    ),
    "not another machine": (["x-1-cp311-cp311-manylinux_2_17_aarch64.whl", "x-1-py2.py3-none-any.whl"], 1),
    "not musl": (["x-1-cp311-cp311-musllinux_1_2_x86_64.whl", "x-1-py3-none-any.whl"], 1),
    "not another Python": (["x-1-cp312-cp312-manylinux_2_17_x86_64.whl", "x-1-py3-none-any.whl"], 1),
    "not a free-threaded Python": (["x-1-cp311-cp311t-manylinux_2_17_x86_64.whl", "x-1-py3-none-any.whl"], 1),
    "the best of several tags in one name": (
        ["x-1-cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64.whl", "x-1-py3-none-manylinux_2_36_x86_64.whl"],
        0,
    ),
    "the later build": (["x-1-2-py3-none-any.whl", "x-1-10-py3-none-any.whl"], 1),
    "a build before none": (["x-1-py3-none-any.whl", "x-1-1-py3-none-any.whl"], 1),
    "not what is no wheel": (["x-1.tar.gz", "nonsense.whl", "x-1-py3-none-any.whl"], 2),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_best_wheel_is_chosen(name: str) -> None:
    filenames, chosen = CHOICES[name]
    assert best(filenames, BOOKWORM) == filenames[chosen]
    assert best(reversed(filenames), BOOKWORM) == filenames[chosen]


def test_nothing_is_chosen_where_nothing_suits() -> None:
    assert best(["x-1-cp311-cp311-win_amd64.whl"], BOOKWORM) is None
    assert best([], BOOKWORM) is None


def test_another_platform_and_python_choose_otherwise() -> None:
    assert best(["x-1-cp313-cp313-manylinux_2_40_aarch64.whl"], ARM)
    assert best(["x-1-cp311-cp311-manylinux_2_17_aarch64.whl"], ARM) is None


def test_older_names_of_a_platform_come_right_after_its_newer_one() -> None:
    assert list(platforms("aarch64", (2, 18))) == [
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]


@pytest.mark.parametrize("version", ["3", "2.7", "3.11.x", "python3.11", "3.11 ", ""])
def test_what_is_no_python_version_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="not a Python version"):
        ImagePython(version=version, platform=Platform.parse("linux/amd64"), glibc=(2, 36))
