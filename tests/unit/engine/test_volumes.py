"""Volumes of the embedded engine on disk: whole or absent, whoever dies, and never a way out of them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.volumes import Volumes
from tiffin.errors import CommandError, IntegrityError, NotFoundError, UnsupportedError

BECOME = Machine.here().become
OWNER = None if BECOME is None else (BECOME, BECOME)


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path / "volumes")


def packed(**files: str) -> io.BytesIO:
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    paper.seek(0)
    return paper


def test_what_a_killed_process_left_half_made_is_no_volume_and_goes(volumes: Volumes) -> None:
    left = [volumes.place(".new-0123"), volumes.place(".gone-4567")]
    for path in left:
        (path / "deep").mkdir(parents=True)
    assert volumes.names() == []
    volumes.make("cache", OWNER)
    assert volumes.names() == ["cache"]
    assert not any(path.exists() for path in left)


def test_a_tar_that_is_cut_off_leaves_what_was_there(volumes: Volumes) -> None:
    volumes.replace("cache", OWNER, packed(old="kept"))
    whole = packed(new="x" * 100_000).getvalue()
    with pytest.raises(CommandError):
        volumes.replace("cache", OWNER, io.BytesIO(whole[:50_000]))
    assert (volumes.place("cache") / "old").read_text() == "kept"
    assert [path.name for path in volumes.place("cache").iterdir()] == ["old"]


def test_a_volume_that_is_there_is_left_as_it_is(volumes: Volumes) -> None:
    volumes.make("cache", OWNER, packed(old="kept"))
    volumes.make("cache", OWNER, packed(new="no"))
    assert [path.name for path in volumes.place("cache").iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["../volumes", "cache/..", ".lock", ".new-0123", ""])
def test_what_is_no_name_is_no_volume(volumes: Volumes, name: str) -> None:
    volumes.make("cache", OWNER)
    with pytest.raises(NotFoundError, match="no volume is called"):
        volumes.remove(name)
    assert volumes.names() == ["cache"]


def test_a_link_in_a_volume_is_sent_as_a_link_and_never_followed(volumes: Volumes) -> None:
    volumes.make("cache", OWNER)
    (volumes.place("cache") / "host").symlink_to("/etc")
    out = io.BytesIO()
    volumes.export("cache", out, BECOME, (1000, 1000))
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert [(member.name, member.linkname) for member in tar] == [(".", ""), ("./host", "/etc")]


def test_what_cannot_be_moved_is_refused_by_name(volumes: Volumes) -> None:
    volumes.make("cache", OWNER)
    os.mkfifo(volumes.place("cache") / "pipe")
    with pytest.raises(UnsupportedError, match="pipe is neither a file nor a folder nor a link"):
        volumes.export("cache", io.BytesIO(), BECOME, (0, 0))


@pytest.mark.parametrize("source", ["../../../../etc/passwd", "/etc/passwd", "host/passwd"])
def test_a_hard_link_out_of_the_volume_is_refused(volumes: Volumes, source: str) -> None:
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as tar:
        for name, kind, target in (("host", tarfile.SYMTYPE, "/etc"), ("twin", tarfile.LNKTYPE, source)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
    paper.seek(0)
    with pytest.raises((IntegrityError, CommandError), match=r"no name to copy to|Not a directory"):
        volumes.replace("cache", OWNER, paper)
    assert volumes.names() == []
