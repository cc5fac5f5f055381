"""Programs in replicas: input and its end, both outputs, a terminal, exit codes, and connections that break."""

from __future__ import annotations

import os
import pty
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apiserver.controller import Controller
from apiserver.served import PODS
from apiserver.server import ApiServer, Fault
from kubernetes_fixtures import client, eventually
from tiffin.deploy.kubernetes.replica import Replica
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Service, Template
from tiffin.engine.screen import resize
from tiffin.engine.spec import Command, Streams
from tiffin.errors import (
    CommandError,
    ConfigError,
    DeniedError,
    NotFoundError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.oci.digest import Digest


def service() -> Service:
    template = Template(image="registry.example/iris", digest=Digest.of(b"iris"), ports={"http": 8080, "metrics": 8082})
    return Service(name="iris", template=template, replicas=Replicas(least=2, most=2))


@pytest.fixture
def target(server: ApiServer) -> Iterator[KubernetesTarget]:
    with Controller(server).running():
        target = KubernetesTarget(client(server, "default"), "default")
        target.apply(service())
        yield target


@pytest.fixture
def replica(target: KubernetesTarget) -> Replica:
    return target.replica("iris")


def ran(replica: Replica, *argv: str, given: bytes | None = None, **more: Any) -> tuple[int, bytes, bytes]:
    """Run a program, and return its exit code and what it wrote."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    stdin = None
    if given is not None:
        stdin = os.memfd_create("in")
        os.write(stdin, given)
        os.lseek(stdin, 0, os.SEEK_SET)
    try:
        streams = Streams(stdin=stdin, stdout=out, stderr=err)
        code = replica.exec(Command(argv=argv, **more), streams)
        return code, *(os.pread(one, 1 << 24, 0) for one in (out, err))
    finally:
        for one in (out, err, *([stdin] if stdin is not None else [])):
            os.close(one)


def test_a_program_writes_to_both_outputs_and_its_exit_code_is_ours(replica: Replica, server: ApiServer) -> None:
    assert ran(replica, "sh", "-c", "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
    assert ran(replica, "true") == (0, b"", b"")
    assert server.pods.ran[0] == ("server", ["sh", "-c", "echo out; echo err >&2; exit 3"])


def test_input_is_passed_on_and_ends(replica: Replica) -> None:
    given = os.urandom(3 << 20)
    assert ran(replica, "cat", given=given) == (0, given, b"")
    assert ran(replica, "cat", given=b"") == (0, b"", b"")


def test_without_input_there_is_none(replica: Replica) -> None:
    assert ran(replica, "cat") == (0, b"", b"")


def test_a_message_that_comes_with_the_answer_is_not_lost(replica: Replica, server: ApiServer) -> None:
    server.pods.early = True
    assert ran(replica, "echo", "hello") == (0, b"hello\n", b"")


def test_an_older_server_is_spoken_with_in_its_protocol(replica: Replica, server: ApiServer) -> None:
    server.pods.protocols = ("v4.channel.k8s.io",)
    assert ran(replica, "head", "-c", "5", given=b"hello and more") == (0, b"hello", b"")


def test_a_server_without_either_is_told(replica: Replica, server: ApiServer) -> None:
    server.pods.protocols = ("v9.channel.k8s.io",)
    with pytest.raises(DeniedError, match="bad protocol"):
        ran(replica, "true")


def test_something_between_that_lets_no_websocket_through_is_told(replica: Replica, server: ApiServer) -> None:
    server.faults["/exec"] = [Fault(body=b"hello")]
    with pytest.raises(UnsupportedError, match="no WebSocket"):
        ran(replica, "true")


def test_a_program_that_is_not_there_is_told_as_shells_do(replica: Replica) -> None:
    code, _, words = ran(replica, "no-such-program")
    assert (code, words) == (127, b"tiffin: no-such-program: not found\n")


def test_variables_and_a_folder_go_by_the_python_of_the_image(replica: Replica) -> None:
    code, out, _ = ran(replica, "sh", "-c", "echo $COLOUR; pwd", env={"COLOUR": "blue"}, cwd="/usr")
    assert (code, out) == (0, b"blue\n/usr\n")


def test_what_a_cluster_cannot_do_is_refused(replica: Replica, server: ApiServer) -> None:
    with pytest.raises(UnsupportedError, match="container's user"):
        ran(replica, "true", user="root")
    with pytest.raises(UnsupportedError, match="unheard"):
        replica.exec(Command(argv=("true",)), None)
    server.pods.path = "/nonexistent"
    with pytest.raises(UnsupportedError, match="has none"):
        ran(replica, "true", env={"A": "b"})


def test_a_terminal_has_our_size_and_follows_it(replica: Replica) -> None:
    ours, theirs = pty.openpty()
    resize(theirs, 41, 99)
    codes: list[int] = []
    script = "import os, sys; print(os.get_terminal_size()); print(ascii(input())); print(os.get_terminal_size())"
    command = Command(argv=("python3", "-c", script), tty=True)
    streams = Streams(stdin=theirs, stdout=theirs, stderr=theirs)
    thread = threading.Thread(target=lambda: codes.append(replica.exec(command, streams)), daemon=True)
    thread.start()
    seen = bytearray()

    def shows(words: bytes) -> bool:
        seen.extend(os.read(ours, 4096))
        return words in seen

    eventually(lambda: shows(b"columns=99, lines=41"))
    os.write(ours, b"hi\r")
    eventually(lambda: shows(b"'hi'"))
    thread.join(30)
    assert codes == [0]
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("cut", [0, 10, 2000])
def test_a_connection_that_breaks_is_an_error_and_never_a_success(
    replica: Replica, server: ApiServer, cut: int
) -> None:
    server.pods.cut = cut
    with pytest.raises(UnavailableError, match="broke"):
        ran(replica, "python3", "-c", "print('x' * 4000)")


def test_who_may_not_is_told(replica: Replica, server: ApiServer) -> None:
    server.denied.add(("POST", "pods/exec"))
    with pytest.raises(DeniedError, match="cannot create"):
        ran(replica, "true")


def test_a_refusal_of_the_cluster_is_told_in_its_words(replica: Replica, server: ApiServer) -> None:
    server.faults["/exec"] = [Fault(status=400, body=b'{"message": "pod iris does not have a host assigned"}')]
    with pytest.raises(ConfigError, match="does not have a host assigned"):
        ran(replica, "true")
    server.faults["/exec"] = [Fault(status=503)] * 2
    assert ran(replica, "true")[0] == 0


def test_a_replica_is_chosen_by_name_and_a_ready_one_otherwise(target: KubernetesTarget, server: ApiServer) -> None:
    names = sorted(revision["metadata"]["name"] for revision in server.store.of(PODS))
    assert target.replica("iris").name == names[0]
    assert target.replica("iris", names[1]).name == names[1]
    with pytest.raises(NotFoundError, match="no replica other") as caught:
        target.replica("iris", "other")
    assert names[0] in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="no service none"):
        target.replica("none")


def test_files_go_in_and_come_out(replica: Replica, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "deep").mkdir(parents=True)
    there.mkdir()
    (here / "deep" / "a.bin").write_bytes(os.urandom(1 << 20))
    (here / "link").symlink_to("deep/a.bin")
    replica.copy_in(str(here), str(there))
    assert (there / "here" / "deep" / "a.bin").read_bytes() == (here / "deep" / "a.bin").read_bytes()
    assert (there / "here" / "link").readlink() == Path("deep/a.bin")
    replica.copy_out(f"{there}/here/deep/a.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == (here / "deep" / "a.bin").read_bytes()
    replica.copy_out(f"{there}/here/.", str(tmp_path / "whole"))
    assert (tmp_path / "whole" / "deep" / "a.bin").exists()


def test_files_go_both_ways_by_the_older_protocol(replica: Replica, server: ApiServer, tmp_path: Path) -> None:
    server.pods.protocols = ("v4.channel.k8s.io",)
    (tmp_path / "a").write_bytes(b"a" * 100_000)
    replica.copy_in(str(tmp_path / "a"), str(tmp_path / "b"))
    replica.copy_out(str(tmp_path / "b"), str(tmp_path / "c"))
    assert (tmp_path / "c").read_bytes() == b"a" * 100_000


def test_tars_go_in_and_come_out(replica: Replica, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("a")
    (tmp_path / "to").mkdir()
    with (tmp_path / "one.tar").open("wb") as out:
        replica.tar_out(str(tmp_path / "from"), out)
    with (tmp_path / "one.tar").open("rb") as stream:
        replica.tar_in(stream, str(tmp_path / "to"))
    assert (tmp_path / "to" / "from" / "a").read_text() == "a"


def test_what_cannot_be_copied_is_told_by_the_end_that_knows(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"iris-.*: ?/nowhere/at/all: No such file"):
        replica.copy_out("/nowhere/at/all", str(tmp_path / "x"))
    (tmp_path / "a").write_bytes(b"a" * 1_000_000)
    with pytest.raises(NotFoundError, match="No such file"):
        replica.copy_in(str(tmp_path / "a"), "/nowhere/at/all/a")
    with pytest.raises(NotFoundError, match="No such file"):
        replica.copy_in(str(tmp_path / "none"), str(tmp_path / "b"))
    with pytest.raises(TiffinError, match="No such file"):
        replica.copy_out(str(tmp_path / "a"), "/nowhere/at/all/here")


@pytest.fixture
def only_tar(server: ApiServer, tmp_path: Path) -> None:
    """A container without a Python."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("tar", "test"):
        (programs / name).symlink_to(str(shutil.which(name)))
    server.pods.path = str(programs)


@pytest.mark.usefixtures("only_tar")
def test_files_are_copied_by_tar_where_there_is_no_python(replica: Replica, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "deep").mkdir(parents=True)
    there.mkdir()
    (here / "deep" / ("long" * 40)).write_bytes(os.urandom(1 << 20))
    (here / "a").write_text("a")
    replica.copy_in(str(here), str(there))
    replica.copy_in(str(here / "a"), str(there / "b"))
    replica.copy_in(f"{here}/.", str(there))
    assert (there / "here" / "deep" / ("long" * 40)).read_bytes() == (here / "deep" / ("long" * 40)).read_bytes()
    assert (there / "b").read_text() == (there / "a").read_text() == "a"
    replica.copy_out(f"{there}/here", str(tmp_path / "back"))
    replica.copy_out(f"{there}/b", str(tmp_path / "c"))
    assert (tmp_path / "back" / "a").read_text() == (tmp_path / "c").read_text() == "a"
    with (tmp_path / "one.tar").open("wb") as out:
        replica.tar_out(f"{there}/here", out)
    (tmp_path / "to").mkdir()
    with (tmp_path / "one.tar").open("rb") as stream:
        replica.tar_in(stream, str(tmp_path / "to"))
    assert (tmp_path / "to" / "here" / "a").read_text() == "a"


@pytest.mark.usefixtures("only_tar")
def test_what_tar_cannot_copy_is_told_in_its_words(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"(?i)no such file"):
        replica.copy_out("/nowhere/at/all", str(tmp_path / "x"))
    with pytest.raises(NotFoundError, match="No such file"):
        replica.copy_in(str(tmp_path / "none"), str(tmp_path / "b"))


def test_a_container_with_neither_python_nor_tar_says_so(replica: Replica, server: ApiServer, tmp_path: Path) -> None:
    server.pods.path = "/nonexistent"
    with pytest.raises(UnsupportedError, match="neither a Python nor a tar"):
        replica.copy_out("/etc/hostname", str(tmp_path / "x"))
