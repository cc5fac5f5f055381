"""Control groups: read from what the kernel says, made in folders that stand for its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.engine.embedded import cgroup
from tiffin.engine.embedded.limits import share

HYBRID = """\
30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
HYBRIDS_OWN = "4:memory:/a/b\n2:cpu,cpuacct:/\n1:name=systemd:/c\n0::/d\n"


def folder(path: Path, **files: str) -> str:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return str(path)


def test_each_controller_of_a_hybrid_machine_has_its_place() -> None:
    found = cgroup.places(HYBRID, HYBRIDS_OWN)
    assert {name: (place.version, place.folder) for name, place in found.items()} == {
        "memory": (1, "/sys/fs/cgroup/memory/a/b"),
        "cpu": (1, "/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": (1, "/sys/fs/cgroup/cpu,cpuacct"),
        "": (2, "/sys/fs/cgroup/unified/d"),
    }


def test_in_version_2_further_groups_may_be_below_any_group_above() -> None:
    found = cgroup.places("29 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/user.slice/a.scope\n")
    assert found[""].parents() == [
        "/sys/fs/cgroup/user.slice/a.scope",
        "/sys/fs/cgroup/user.slice",
        "/sys/fs/cgroup",
    ]


def test_a_hierarchy_that_is_mounted_in_part_is_entered_where_it_is() -> None:
    mounts = "31 30 0:27 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    assert cgroup.places(mounts, "4:memory:/docker/x\n")["memory"].folder == "/sys/fs/cgroup/memory"
    assert cgroup.places(mounts, "4:memory:/docker/x/y\n")["memory"].folder == "/sys/fs/cgroup/memory/y"
    assert cgroup.places(mounts, "4:memory:/docker/xy\n") == {}


def test_a_kernel_without_any_has_no_places() -> None:
    assert cgroup.places("", "") == {}


@pytest.mark.parametrize(
    ("controller", "version", "amount", "expected"),
    [
        ("memory", 1, 100, {"memory.limit_in_bytes": "100", "memory.memsw.limit_in_bytes": "100"}),
        ("memory", 2, 100, {"memory.max": "100", "memory.swap.max": "0"}),
        ("cpu", 1, 1.5, {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"}),
        ("cpu", 2, 0.5, {"cpu.max": "50000 100000"}),
        ("pids", 1, 20, {"pids.max": "21"}),
        ("pids", 2, 20, {"pids.max": "21"}),
    ],
)
def test_a_limit_is_written_as_its_version_says_it(
    controller: str, version: int, amount: float, expected: dict[str, str]
) -> None:
    assert {file: text for file, text, _ in cgroup.settings(controller, version, amount)} == expected


def test_a_group_is_made_below_the_nearest_that_hands_its_controller_on(tmp_path: Path) -> None:
    """Folders are not the kernel's: its files must be there before they are written, as it puts them there."""
    top = folder(tmp_path / "top", cgroup__subtree_control="cpu memory")
    slice_ = folder(tmp_path / "top/slice", cgroup__subtree_control="memory")
    own = folder(tmp_path / "top/slice/scope", cgroup__subtree_control="", cgroup__procs="")
    place = cgroup.Place(2, own, top)
    assert place.parents() == [own, slice_, top]
    group = folder(tmp_path / "top/slice/tiffin/x.1", memory__max="max", cgroup__procs="")
    Path(slice_, "tiffin/cgroup.subtree_control").write_text("memory")
    Path(own, "cgroup.subtree_control").unlink()  # a group with processes does not hand anything on
    assert cgroup.make("memory", "x.1", 1000, {"": place}) == (group, 2)
    assert Path(group, "memory.max").read_text() == "1000"


def test_where_no_group_can_be_made_there_is_none(tmp_path: Path) -> None:
    own = folder(tmp_path / "memory")
    assert cgroup.make("memory", "x.1", 1000, {"memory": cgroup.Place(1, own, own)}) is None
    assert cgroup.make("pids", "x.1", 10, {"memory": cgroup.Place(1, own, own)}) is None
    assert cgroup.make("pids", "x.1", 10, {}) is None


def test_the_kernel_says_how_often_it_killed_for_memory(tmp_path: Path) -> None:
    assert cgroup.killed_for_memory(str(tmp_path)) == 0
    (tmp_path / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert cgroup.killed_for_memory(str(tmp_path)) == 1
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert cgroup.killed_for_memory(str(tmp_path)) == 3


def test_empty_groups_of_a_container_are_swept_and_no_others(tmp_path: Path) -> None:
    own = folder(tmp_path / "memory")
    for name in ("aa.1", "aa.2", "bb.1"):
        folder(tmp_path / "memory/tiffin" / name)
    cgroup.sweep("aa", {"memory": cgroup.Place(1, own, own)})
    assert [path.name for path in (tmp_path / "memory/tiffin").iterdir()] == ["bb.1"]


def test_processors_are_shared_out_whole_and_rounded_up() -> None:
    assert share([0, 1, 2, 3], 1.5, "") == [0, 1]
    assert share([2, 5], 9, "x") == [2, 5]
    assert share([0, 1, 2, 3], 2, "\x03") == [0, 3]
    assert len(share([7], 0.01, "any")) == 1
