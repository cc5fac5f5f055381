"""Whether a container would find its data is decided of what is seen, and every finding says what to do."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest

from tiffin.engine.data import Inode, Seen, Who, obstacles, permits, refuse, sources, writable_where_declared
from tiffin.engine.declared import Data, declared_data, labels
from tiffin.engine.looking import rootless
from tiffin.engine.spec import Mount, Obstacle
from tiffin.errors import ConfigError

DATA = Data(name="features", path="/data")
WRITTEN = Data(name="out", path="/out", write=True)
MOUNT = Mount(source="/srv/f", target="/data")
OUT = Mount(source="/srv/o", target="/out", read_only=False)
WHO = Who(uid=65532, groups=frozenset({65532}), number=65532, caller=1000)


def folder(mode: int = 0o755, uid: int = 1000, **more: Any) -> Seen:
    return Seen(itself=Inode(uid=uid, gid=uid, mode=stat.S_IFDIR | mode), **more)


def found(data: Data, mount: Mount, seen: Seen | None, who: Who = WHO) -> list[Obstacle]:
    return obstacles("iris", [data], [mount], {mount.source: seen} if seen else {}, who)


def test_nothing_is_in_the_way_of_data_that_is_as_it_must_be() -> None:
    assert found(DATA, MOUNT, folder()) == []
    assert found(WRITTEN, OUT, folder(uid=65532)) == []


def test_data_of_a_folder_above_counts_as_mounted_and_is_looked_for_in_it() -> None:
    deep = Data(name="deep", path="/data/deep")
    assert sources([deep, DATA, WRITTEN], [MOUNT]) == {"/data/deep": "/srv/f/deep", "/data": "/srv/f"}
    gone = obstacles("iris", [deep], [MOUNT], {"/srv/f/deep": Seen(here=False)}, WHO)
    assert [one.message for one in gone] == ["/srv/f/deep, the data 'deep' of iris, does not exist"]


def test_what_cannot_be_seen_from_here_is_not_refused() -> None:
    assert found(DATA, MOUNT, None) == []
    assert found(DATA, MOUNT, Seen(itself=None)) == []


@pytest.mark.parametrize(
    ("seen", "hint"),
    [
        (folder(0o700), "`chmod -R a+rX /srv/f`"),
        (folder(0o700, uid=0), "`sudo chmod -R a+rX /srv/f`"),
        (folder(0o744), "`chmod -R a+rX /srv/f`"),
        (Seen(itself=Inode(uid=0, gid=0, mode=stat.S_IFREG | 0o600)), "`sudo chmod a+rX /srv/f`"),
        (folder(within=(Inode(uid=1000, gid=1000, mode=stat.S_IFREG | 0o600),)), "`chmod -R a+rX /srv/f`"),
    ],
)
def test_what_cannot_be_read_says_what_lets_it_be(seen: Seen, hint: str) -> None:
    assert [one.hint for one in found(DATA, MOUNT, seen)] == [hint]


def test_one_file_that_can_be_read_is_enough() -> None:
    closed = Inode(uid=1000, gid=1000, mode=stat.S_IFREG | 0o600)
    opened = Inode(uid=1000, gid=1000, mode=stat.S_IFREG | 0o644)
    assert found(DATA, MOUNT, folder(within=(closed, opened))) == []


@pytest.mark.parametrize(
    ("seen", "who", "hint"),
    [
        (folder(), WHO, "`sudo chown -R 65532 /srv/o`"),
        (folder(0o555), WHO, "`sudo chown -R 65532 /srv/o && sudo chmod -R u+rwX /srv/o`"),
        (folder(0o555, uid=65532), WHO, "`sudo chmod -R u+rwX /srv/o`"),
        (folder(0o555, uid=65532), Who(uid=65532, number=65532, caller=65532), "`chmod -R u+rwX /srv/o`"),
        (
            folder(),
            Who(uid=165531, number=65532, unshare="podman unshare ", caller=1000),
            "`podman unshare chown -R 65532 /srv/o`",
        ),
    ],
)
def test_what_cannot_be_written_says_what_lets_it_be(seen: Seen, who: Who, hint: str) -> None:
    assert [one.hint for one in found(WRITTEN, OUT, seen, who)] == [hint]


def test_a_file_system_that_nobody_writes_to_is_said() -> None:
    assert "mounted read-only" in found(WRITTEN, OUT, folder(uid=65532, locked=True))[0].message


def test_empty_data_is_refused_but_what_is_there_to_be_filled() -> None:
    assert "is empty" in found(DATA, MOUNT, folder(empty=True))[0].message
    assert found(WRITTEN, OUT, folder(uid=65532, empty=True)) == []


def test_odd_paths_are_quoted_in_what_is_to_be_typed() -> None:
    odd = Mount(source="/srv/a b", target="/data")
    assert found(DATA, odd, folder(0o700))[0].hint == "`chmod -R a+rX '/srv/a b'`"


def test_everything_that_is_in_the_way_is_said_at_once() -> None:
    both = obstacles("iris", [DATA, WRITTEN], [], {}, WHO)
    with pytest.raises(ConfigError) as caught:
        refuse(both)
    assert caught.value.message.count("nothing is mounted there") == 2
    assert caught.value.hint == "say where it lies: `-v FOLDER:/data`; say where it lies: `-v FOLDER:/out`"


def test_a_mount_is_writable_where_that_is_declared_unless_it_was_asked_not_to_be() -> None:
    out = Mount(source="/srv/o", target="/out")
    assert [mount.read_only for mount in writable_where_declared([MOUNT, out], [DATA, WRITTEN], [])] == [True, False]
    assert [mount.read_only for mount in writable_where_declared([out], [WRITTEN], ["/out"])] == [True]


def test_permissions_are_judged_as_the_kernel_judges_them() -> None:
    owned = Inode(uid=65532, gid=0, mode=0o047)
    assert not permits(owned, WHO, os.R_OK)  # the owner's bits count, though everybody else may
    grouped = Inode(uid=0, gid=65532, mode=0o707)
    assert not permits(grouped, WHO, os.R_OK)
    assert permits(Inode(uid=0, gid=0, mode=0o004), WHO, os.R_OK)
    assert permits(Inode(uid=0, gid=0, mode=0o000, listed=True), WHO, os.R_OK)


def test_podman_without_root_maps_numbers_to_subordinate_ones() -> None:
    tables = ("dana:100000:65536\n", "dana:200000:65536\n")
    assert rootless((0, 0), "dana", (1000, 1000), tables).uid == 1000
    other = rootless((65532, 65532), "dana", (1000, 1000), tables)
    assert (other.uid, other.groups, other.number) == (165531, frozenset({265531}), 65532)


def test_declarations_go_into_labels_and_come_out_again() -> None:
    assert declared_data(labels([DATA, WRITTEN], "required")) == [DATA, WRITTEN]
    assert labels([], "") == {}
    with pytest.raises(ConfigError, match=r"label dev.tiffin.data is not to be read"):
        declared_data({"dev.tiffin.data": "[{]"})
