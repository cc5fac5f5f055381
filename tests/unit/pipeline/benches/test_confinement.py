"""What a kernel cannot take away is said, and is part of what a step's results are known by."""

from __future__ import annotations

import base64

import pytest

from tiffin.engine.embedded.seccomp import without_network
from tiffin.pipeline.benches.confinement import Bounds, Confinement, left

BOUNDS = Bounds(read=("/usr",), write=("/out",))


@pytest.mark.parametrize(
    ("landlock", "architecture", "words"),
    [
        (0, "amd64", "the kernel has no Landlock"),
        (2, "amd64", "Landlock is version 2, and 3 is needed"),
        (7, "riscv64", "no filter is known for riscv64"),
    ],
)
def test_less_than_all_is_told_and_known_by_one_more_name(landlock: int, architecture: str, words: str) -> None:
    found = Confinement(landlock=landlock, architecture=architecture)
    assert words in found.lacks
    assert found.identity() == {"unconfined": f"landlock-{landlock}"}


@pytest.mark.parametrize("landlock", [3, 7, 20])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_all_of_it_has_no_name_whatever_the_kernel_is_called(landlock: int, architecture: str) -> None:
    found = Confinement(landlock=landlock, architecture=architecture)
    assert (found.lacks, found.identity()) == ("", {})


def test_only_a_step_without_a_network_is_filtered() -> None:
    here = Confinement(landlock=7, architecture="amd64")
    assert base64.b64decode(left(here, BOUNDS)["filter"]) == without_network("amd64")
    online = Bounds(read=("/usr",), write=("/out",), network=True)
    assert (left(here, online)["filter"], left(here, online)["network"]) == ("", True)
