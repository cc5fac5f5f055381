"""A stack of layers seen from inside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tiffin.engine.embedded.rootfs import Layers, inside, top
from tiffin.errors import ConfigError


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    low, high = tmp_path / "low", tmp_path / "high"
    (low / "usr/bin").mkdir(parents=True)
    (low / "usr/bin/tool").write_text("low")
    (low / "bin").symlink_to("usr/bin")
    (low / "etc").mkdir(mode=0o750)
    (low / "etc/passwd").write_text("low")
    (high / "etc").mkdir(parents=True)
    (high / "etc").chmod(0o711)
    (high / "etc/passwd").write_text("high")
    (high / "abs").symlink_to("/usr/../bin")
    (high / "loop").symlink_to("loop")
    (high / "out").symlink_to("../../../../etc/passwd")
    (high / "kernel").symlink_to("proc/self/cwd")
    return Layers([low, high])


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/", "/"),
        ("/bin/tool", "/usr/bin/tool"),
        ("/abs/tool", "/usr/bin/tool"),
        ("/out", "/etc/passwd"),
        ("/absent/../bin/x", "/usr/bin/x"),
        ("/../../etc", "/etc"),
        ("/new/deep/er", "/new/deep/er"),
    ],
)
def test_links_are_followed_inside_the_tree(layers: Layers, path: str, resolved: str) -> None:
    assert layers.resolve(path) == resolved


def test_the_upper_layer_is_read(layers: Layers) -> None:
    assert (layers.text("/etc/passwd"), layers.text("/out"), layers.text("/absent")) == ("high", "high", "")
    assert layers.mode("/etc") == 0o711


def test_a_loop_of_links_is_refused(layers: Layers) -> None:
    with pytest.raises(ConfigError, match="too many symbolic links"):
        layers.resolve("/loop/x")


def test_programs_are_looked_for_as_a_shell_does(layers: Layers) -> None:
    assert not layers.program("tool", "/sbin:/bin", "/")
    found = layers.find("/bin/tool")
    assert found
    found.chmod(0o755)
    layers = Layers([found.parents[2], found.parents[3] / "high"])
    for name, cwd in (("tool", "/"), ("/bin/tool", "/"), ("./tool", "/bin"), ("bin/tool", "/")):
        assert layers.program(name, "/sbin:/bin", cwd)
    assert not layers.program("tool", "/sbin", "/")


def test_a_path_that_ends_in_the_kernels_folders_is_refused(layers: Layers) -> None:
    assert inside(layers, "tmpfs", "/bin") == "/usr/bin"
    with pytest.raises(ConfigError, match="tmpfs '/kernel/x' leads to /proc/self/cwd/x"):
        inside(layers, "tmpfs", "/kernel/x")


def test_the_top_layer_has_parents_first_and_keeps_permissions(layers: Layers) -> None:
    made = top(layers, ["/a/b/c", "/"], {"/etc/hosts": "x"})
    assert made.folders == (("/a", 0o755), ("/a/b", 0o755), ("/a/b/c", 0o755), ("/etc", 0o711))
    assert made.files == {"/etc/hosts": "x"}


def test_what_a_layer_takes_away_is_not_seen_with_all_that_was_in_it(tmp_path: Path) -> None:
    low, middle, high = tmp_path / "low", tmp_path / "middle", tmp_path / "high"
    for name in ("gone", "hidden", "replaced", "kept"):
        (low / name).mkdir(parents=True)
        (low / name / "file").write_text("low")
    (middle / "hidden").mkdir(parents=True)
    (middle / "kept").mkdir()
    os.mknod(middle / "gone", stat.S_IFCHR, os.makedev(0, 0))
    os.setxattr(middle / "hidden", "user.overlay.opaque", b"y")
    (middle / "replaced").symlink_to("kept")
    high.mkdir()
    seen = Layers([low, middle, high])
    assert [seen.text(f"/{name}/file") for name in ("gone", "hidden", "replaced", "kept")] == ["", "", "low", "low"]
    assert seen.find("/gone") is None


def test_a_link_under_a_folder_of_a_layer_above_leads_nowhere(tmp_path: Path) -> None:
    lowest, low, high, host = (tmp_path / name for name in ("lowest", "low", "high", "host"))
    (lowest / "data").mkdir(parents=True)
    (lowest / "data/file").write_text("hidden by the link above it")
    low.mkdir()
    (low / "data").symlink_to(host)
    (high / "data").mkdir(parents=True)
    host.mkdir()
    (host / "secret").write_text("the host's")
    stack = Layers([lowest, low, high])
    assert stack.find("/data") == high / "data"
    assert stack.find("/data/secret") is None
    assert stack.find("/data/file") is None
