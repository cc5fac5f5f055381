"""Bad input and faults of services on this machine, with real containers: what serves goes on, and all is told."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from chaos.load import Load
from chaos.place import EXPECT, NAME, PATH, REQUEST, Place, prepare, write
from end_to_end.disk import Disk, small_disk
from end_to_end.small import Downloads, environment, run_tiffin, tiffin
from programs.service import predict
from programs.waiting import until
from tiffin.deploy.local.places import DATABASE
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Resources, Service
from tiffin.deploy.target import Phase
from tiffin.engine.memory import MemoryEngine
from tiffin.errors import (
    CommandError,
    ConfigError,
    ConflictError,
    DeniedError,
    FullError,
    NotFoundError,
    TiffinError,
    UnavailableError,
)
from tiffin.oci.digest import Digest

PLENTY = 400
"""Megabytes for a home with the image, unpacked."""


@pytest.fixture(scope="module")
def place(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(*prepare(downloads, tmp_path_factory.mktemp("faults")))
    made.supervise()
    yield made
    made.kill_supervisor()


@pytest.fixture
def service(place: Place) -> Iterator[Service]:
    """The service with one replica that is ready."""
    wanted = place.service("good", 1)
    place.target.apply(wanted)
    until(lambda: not place.astray(wanted), lambda: place.astray(wanted))
    yield wanted
    place.target.delete(NAME)


@contextmanager
def asked(place: Place, folder: Path) -> Iterator[None]:
    """Have the service asked meanwhile; every request is answered."""
    load = Load(folder, place.port(), PATH, rate=40.0)
    with load.on():
        until(lambda: load.counted()[1] > 5)
        yield
        answered = load.counted()[1]
        until(lambda: load.counted()[1] > answered + 5)
    assert (load.account.failed, load.account.refused) == (0, 0), load.account.failures


def changed(service: Service, **template: object) -> Service:
    return msgspec.structs.replace(service, template=msgspec.structs.replace(service.template, **template))


def fill(target: LocalTarget) -> None:
    """Write until what the database has of room is used up."""
    for _ in range(1000):
        target.scale(NAME, 1, 1)


def answers(address: str) -> bool:
    return predict(address, REQUEST, PATH)["outputs"][0]["data"] == EXPECT["outputs"][0]["data"]


def findings(place: Place) -> str:
    return " ".join(one.message for one in place.target.status(NAME).findings)


@pytest.mark.parametrize(
    ("template", "kind", "words"),
    [
        ({"digest": Digest.of(b"nowhere")}, NotFoundError, "is not on this machine"),
        ({"resources": Resources(memory=1 << 60)}, ConfigError, "MiB of memory"),
        ({"resources": Resources(cpus=1000.0)}, ConfigError, "1000 processors"),
        ({"resources": Resources(gpus=64)}, TiffinError, "GPU"),
        ({"inherits": False, "ports": {"http": 80}}, ConflictError, "another kind"),
    ],
    ids=["image", "memory", "processors", "gpus", "kind"],
)
def test_what_cannot_be_is_refused_and_what_serves_is_as_it_was(
    template: dict[str, object], kind: type[TiffinError], words: str, place: Place, service: Service
) -> None:
    before = {one.id for one in place.replicas()}
    with pytest.raises(kind, match=words) as told:
        place.target.apply(changed(service, **template))
    assert told.value.hint
    assert not place.astray(service)
    assert {one.id for one in place.replicas()} == before


def test_what_was_never_there_is_not_there_when_it_is_refused(place: Place) -> None:
    with pytest.raises(NotFoundError):
        place.target.apply(changed(place.service("good", 1), digest=Digest.of(b"nowhere")))
    assert place.target.list() == []


def test_an_unsigned_image_is_refused_where_signatures_are_required(place: Place, service: Service) -> None:
    key = place.home / "team"
    tiffin(place.home, "sign", "--generate-key", key, TIFFIN_KEY_PASSPHRASE="x")  # noqa: S106 - of a key for this test
    policy = place.home / ".config" / "tiffin" / "trust.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text(f'require = "{key}.pub"\n')
    try:
        with pytest.raises(DeniedError, match="signature"):
            place.target.apply(place.service("other", 1))
        assert not place.astray(service)
    finally:
        policy.unlink()


def test_a_name_that_is_too_long_is_refused(place: Place) -> None:
    with pytest.raises(ConfigError, match="too long"):
        place.target.apply(place.service("good", 1, name="x" * 60))


def test_a_port_that_is_taken_is_left_to_who_has_it(place: Place) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        status = place.target.apply(changed(place.service("good", 1), ports={"http": taken}))
        assert status.addresses != (f"http://127.0.0.1:{taken}",)
    place.target.delete(NAME)


def test_a_port_that_somebody_took_while_all_was_down_is_told_and_taken_back(place: Place, service: Service) -> None:
    port, holder = place.port(), place.holder()
    place.kill_supervisor()
    os.kill(holder, 9)
    until(lambda: not place.holder())
    with taking(port) as other:
        place.supervise()
        until(lambda: f"127.0.0.1:{port}" in findings(place), place.story)
        other.close()
        until(lambda: not place.astray(service), place.story)
    assert not findings(place)
    assert answers(f"127.0.0.1:{port}")


def test_a_revision_that_cannot_be_loaded_never_serves_and_the_one_before_does(
    place: Place, service: Service, tmp_path: Path
) -> None:
    with asked(place, tmp_path), pytest.raises(CommandError, match="back to revision 1") as told:
        place.target.apply(place.service("broken", 1))
    assert "this revision cannot be loaded" in told.value.message
    until(lambda: not place.astray(service), lambda: place.astray(service))


def test_a_broken_project_is_told_before_anything_is_asked_of_the_supervisor(
    place: Place, service: Service, tmp_path: Path
) -> None:
    shutil.copytree(place.home.parent, tmp_path / "project", ignore=shutil.ignore_patterns("home"))
    with (tmp_path / "project" / "tiffin.toml").open("a") as file:
        file.write("[deploy]\nreplicas = -1\n")
    done = run_tiffin(place.home, "deploy", tmp_path / "project", "--to", "local")
    assert done.returncode == ConfigError.exit_status, done.stderr
    assert "replicas" in done.stderr
    assert not place.astray(service)


def test_a_locked_database_is_told_and_replicas_are_replaced_all_the_same(place: Place, service: Service) -> None:
    lost = place.running()[0]
    with closing(sqlite3.connect(place.data / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked by another process"):
            place.target.apply(place.service("other", 1))
        lost.kill()
        until(lambda: any(one.id != lost.id for one in place.running()), place.story)
        assert place.supervised
        other.execute("ROLLBACK")
    until(lambda: not place.astray(service), lambda: f"{place.astray(service)} {place.story()}")


def test_of_several_supervisors_at_once_one_stays_and_the_others_name_it(place: Place, service: Service) -> None:
    place.kill_supervisor()
    several = [
        subprocess.Popen(
            [sys.executable, "-m", "tiffin", "up"], env=environment(place.home), stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    until(lambda: sum(one.poll() is None for one in several) == 1)
    (stays,) = [one for one in several if one.poll() is None]
    for one in several:
        if one is not stays:
            assert f"process {stays.pid}" in one.communicate()[1]
            assert one.returncode == ConflictError.exit_status
    until(lambda: not place.astray(service))
    stays.terminate()
    stays.communicate()
    assert stays.returncode == 0
    place.supervise()


@pytest.mark.usefixtures("service")
def test_of_two_deploys_at_once_one_is_told_of_the_other_and_none_is_lost(place: Place) -> None:
    wanted = [place.service(word, 1) for word in ("left", "right")]
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(place.target.apply, one) for one in wanted]
        errors = [one.exception() for one in asked]
    lost = [error for error in errors if error]
    assert len(lost) <= 1, errors
    if lost:  # else the first one was there before the second came
        assert isinstance(lost[0], ConflictError)
        assert "changed by somebody else meanwhile" in lost[0].message
        assert not place.astray(wanted[errors.index(None)])
    assert len(place.target.status(NAME).revisions) == 3
    assert place.target.status(NAME).phase is Phase.AVAILABLE


@pytest.fixture
def disk(downloads: Downloads, tmp_path: Path) -> Iterator[Disk]:
    """A small disk with a home that serves, and its supervisor."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    project = tmp_path / "project"
    project.mkdir()
    write(project, downloads)
    with small_disk(tmp_path / "disk", PLENTY) as disk, (tmp_path / "up.log").open("w") as log:
        downloads.copy(disk.seen, shutil.copyfile)
        assert disk.tiffin("build", project).returncode == 0
        command = [*disk._inside(), sys.executable, "-m", "tiffin", "up"]
        with subprocess.Popen(command, env=environment(disk.path), stderr=log) as process:
            until(lambda: "keeping" in (tmp_path / "up.log").read_text())
            done = disk.tiffin("deploy", project, "--to", "local")
            assert done.returncode == 0, done.stderr
            yield disk
            done = disk.tiffin("delete", NAME)
            assert done.returncode == 0, done.stderr
            process.terminate()


def test_a_full_disk_is_told_and_what_serves_goes_on(disk: Disk) -> None:
    target = LocalTarget(disk.seen / "data", MemoryEngine({}))
    port = target.status(NAME).addresses[0].rpartition("/")[2]
    disk.resize(disk.used())
    with pytest.raises(FullError, match="no room") as told:
        fill(target)
    assert told.value.hint
    (name,) = {row["name"] for row in json.loads(disk.tiffin("ps", "--json").stdout)}
    assert answers(port)
    assert disk.tiffin("kill", name).returncode == 0
    until(lambda: target.status(NAME).ready == 0)
    disk.resize(PLENTY)
    until(lambda: target.status(NAME).phase is Phase.AVAILABLE, lambda: target.status(NAME))
    assert answers(port)
    until(lambda: not target.status(NAME).findings)


@contextmanager
def taking(port: int) -> Iterator[socket.socket]:
    """Take a port as soon as it is free."""
    taken: list[socket.socket] = []

    def took() -> bool:
        try:
            taken.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            return False
        return True

    until(took)
    with closing(taken[0]):
        yield taken[0]
