"""Hooks of NVIDIA's specs are understood by their arguments; others are refused."""

from __future__ import annotations

import pytest

from tiffin.engine.cdi import Edits, Hook
from tiffin.engine.cdi_hooks import Libraries, follow, read_hooks
from tiffin.engine.devices import Link
from tiffin.errors import UnsupportedError


def hook(*args: str, path: str = "/usr/bin/nvidia-cdi-hook") -> Hook:
    return Hook(hook_name="createContainer", path=path, args=args)


def test_links_and_folders_are_read_whichever_way_they_are_written() -> None:
    edits = Edits(
        hooks=(
            hook("nvidia-cdi-hook", "create-symlinks", "--link", "libcuda.so.1::/lib/libcuda.so", "--link=../x::/a/b"),
            hook("nvidia-ctk", "hook", "update-ldcache", "--folder", "/lib", path="/usr/bin/nvidia-ctk"),
            hook("nvidia-cdi-hook", "update-ldcache", "--ldconfig-path", "@/sbin/ldconfig", "--folder=/lib64"),
        )
    )
    assert read_hooks(edits) == Libraries(
        links=(Link(path="/lib/libcuda.so", target="libcuda.so.1"), Link(path="/a/b", target="../x")),
        folders=("/lib", "/lib64"),
    )


@pytest.mark.parametrize("verb", ["chmod", "enable-cuda-compat", "disable-device-node-modification"])
def test_hooks_that_change_nothing_here_are_passed_over(verb: str) -> None:
    assert read_hooks(Edits(hooks=(hook("nvidia-cdi-hook", verb, "--path", "/dev/dri"),))) == Libraries()


@pytest.mark.parametrize(
    "unknown",
    [
        hook("nvidia-cdi-hook", "mystery"),
        hook("x", "update-ldcache", path="/opt/vendor-hook"),
        hook(path="/opt/vendor-hook"),
    ],
)
def test_any_other_hook_is_refused(unknown: Hook) -> None:
    with pytest.raises(UnsupportedError, match="only a runtime can run"):
        read_hooks(Edits(hooks=(unknown,)))


def test_a_link_is_followed_through_others_and_never_for_ever() -> None:
    links = [
        Link(path="/lib/libcuda.so", target="libcuda.so.1"),
        Link(path="/lib/libcuda.so.1", target="libcuda.so.550"),
        Link(path="/lib/gbm/x.so", target="../libcuda.so"),
        Link(path="/a", target="b"),
        Link(path="/b", target="a"),
    ]
    assert follow(links[2], links) == "/lib/libcuda.so.550"
    assert follow(links[3], links) == "/a"
