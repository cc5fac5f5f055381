"""Volumes: what containers write to them stays, moves and goes, whatever runs the containers."""

from __future__ import annotations

import io
import stat
import tarfile

import pytest

from contract.engine_fixtures import REAL, Bench, ClientBench, RealBench
from tiffin.engine.spec import HasVolumes, Mount
from tiffin.errors import ConflictError, NotFoundError

OWNER = (65532, 65532)


def cache(target: str = "/keep/cache", **more: bool) -> Mount:
    return Mount(source="cache", target=target, volume=True, **{"read_only": False} | more)


def volumes(bench: Bench) -> HasVolumes:
    assert isinstance(bench.engine, HasVolumes)
    return bench.engine


def exported(bench: Bench, name: str = "cache") -> dict[str, tarfile.TarInfo]:
    paper = io.BytesIO()
    volumes(bench).export_volume(name, paper, OWNER)
    paper.seek(0)
    with tarfile.open(fileobj=paper) as tar:
        return {member.name.removeprefix("./").rstrip("/"): member for member in tar}


def packed(*entries: tuple[str, bytes, str]) -> io.BytesIO:
    """A tar of files by name, and of links by name and target."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as tar:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, (entry.uid, entry.gid) = kind, OWNER
            entry.mode = 0o755 if kind == tarfile.DIRTYPE else 0o640
            entry.linkname = content if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
            entry.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(content.encode()))
    paper.seek(0)
    return paper


class TestVolumes:
    def test_a_volume_is_made_with_its_first_container_and_stays_until_it_is_removed(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello", mounts=(cache(),)))
        assert "cache" in volumes(bench).volumes()
        with pytest.raises(ConflictError, match="'cache' belongs to the container 'aa'"):
            volumes(bench).remove_volume("cache")
        container.remove()
        assert "cache" in volumes(bench).volumes()
        volumes(bench).remove_volume("cache")
        assert "cache" not in volumes(bench).volumes()

    def test_a_volume_that_is_not_there_is_said_to_be_absent(self, bench: Bench) -> None:
        with pytest.raises(NotFoundError, match="no volume is called 'nothing'"):
            volumes(bench).remove_volume("nothing")
        with pytest.raises(NotFoundError, match="no volume is called 'nothing'"):
            volumes(bench).export_volume("nothing", io.BytesIO(), OWNER)
        with pytest.raises(NotFoundError, match="no volume is called '--force'"):
            volumes(bench).remove_volume("--force")

    def test_what_one_container_writes_the_next_one_reads(self, real: RealBench) -> None:
        assert real.run("echo kept > /keep/cache/file", mounts=(cache(),))[0] == 0
        assert real.run("cat /there/file", mounts=(cache("/there", read_only=True),)) == (0, ["kept"])
        volumes(real).remove_volume("cache")

    def test_a_volume_that_is_mounted_read_only_cannot_be_written(self, real: RealBench) -> None:
        assert real.run("echo no > /keep/cache/file", mounts=(cache(read_only=True),))[0] != 0
        volumes(real).remove_volume("cache")

    def test_its_files_move_as_a_tar_with_the_owner_that_the_container_sees(self, real: RealBench) -> None:
        script = (
            "cd /keep/cache && busybox mkdir -p deep/er && echo kept > deep/er/file && busybox ln -s /etc/passwd link"
        )
        assert real.run(f"{script} && busybox chmod 751 deep", mounts=(cache(),))[0] == 0
        found = exported(real)
        assert found["deep/er/file"].isreg()
        assert (found["deep/er/file"].size, found["deep/er/file"].uid, found["deep/er/file"].gid) == (5, *OWNER)
        assert stat.S_IMODE(found["deep"].mode) == 0o751
        assert (found["link"].issym(), found["link"].linkname) == (True, "/etc/passwd")
        volumes(real).remove_volume("cache")

    def test_an_import_replaces_all_that_was_there(self, real: RealBench) -> None:
        assert real.run("echo old > /keep/cache/old", mounts=(cache(),))[0] == 0
        entries = packed(
            ("deep", tarfile.DIRTYPE, ""),
            ("deep/file", tarfile.REGTYPE, "new\n"),
            ("link", tarfile.SYMTYPE, "deep/file"),
            ("twin", tarfile.LNKTYPE, "deep/file"),
        )
        volumes(real).import_volume("cache", entries, OWNER)
        script = "cd /keep/cache && ls && cat link twin && echo more >> deep/file && touch here && stat -c %a deep/file"
        assert real.run(script, mounts=(cache(),)) == (0, ["deep", "link", "twin", "new", "new", "640"])
        volumes(real).remove_volume("cache")

    def test_a_volume_is_not_replaced_under_a_container_that_runs(self, real: RealBench) -> None:
        container = real.engine.create(real.program("aa", "serve", mounts=(cache(),)))
        container.start()
        with pytest.raises(ConflictError, match="'cache' belongs to the container 'aa'"):
            volumes(real).import_volume("cache", packed(), OWNER)
        container.remove(force=True)
        volumes(real).remove_volume("cache")

    @pytest.mark.parametrize("hostile", ["../out", "/etc/out", "link/out"])
    def test_a_tar_that_leads_out_of_the_volume_writes_nothing_there(self, embedded: RealBench, hostile: str) -> None:
        entries = packed(("link", tarfile.SYMTYPE, "/etc"), (hostile, tarfile.REGTYPE, "out"))
        with pytest.raises(Exception, match=r"no name to copy to|Not a directory"):
            volumes(embedded).import_volume("cache", entries, OWNER)
        assert volumes(embedded).volumes() == []


class TestVolumesOfOthers:
    @pytest.mark.parametrize("engine", REAL[1:])
    def test_what_somebody_else_keeps_is_mounted_and_neither_listed_nor_deleted(
        self, request: pytest.FixtureRequest, engine: str
    ) -> None:
        bench: ClientBench = request.getfixturevalue(engine)
        ask = bench.engine._program.ask
        ask(["volume", "create", "theirs"])
        try:
            mount = Mount(source="theirs", target="/theirs", volume=True)
            assert bench.run("ls /theirs", mounts=(mount,)) == (0, [])
            assert "theirs" not in bench.engine.volumes()
            with pytest.raises(ConflictError, match="the volume 'theirs' is not tiffin's"):
                bench.engine.remove_volume("theirs")
            with pytest.raises(ConflictError, match="the volume 'theirs' is not tiffin's"):
                bench.engine.import_volume("theirs", packed(), OWNER)
        finally:
            ask(["volume", "rm", "theirs"])
