"""A further program in a container of the embedded engine: its streams, its terminal, its end."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.engine_fixtures import (
    DEADLINE,
    GLIBCS_OWN,
    EmbeddedBench,
    executed,
    python_argv,
    python_mounts,
    ready,
    sh,
    until,
    waiting,
)
from tiffin.engine.embedded.container import EmbeddedContainer
from tiffin.engine.spec import CanExec, Command, Container, Network, Port, Streams
from tiffin.errors import ConfigError, UnsupportedError
from unit.engine.test_lifecycle import gone

COMMAND_LINE = """
import signal
import sys
from pathlib import Path
from contract.engine_fixtures import never_unpacked
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.spec import Command, Streams
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
container = EmbeddedEngine(Path(sys.argv[1]), never_unpacked).find("a")
command = Command(argv=tuple(sys.argv[3:]), tty=sys.argv[2] == "tty")
sys.exit(container.exec(command, Streams(stdin=0, stdout=1, stderr=2)))
"""


@pytest.fixture
def bench(tmp_path: Path) -> EmbeddedBench:
    return EmbeddedBench(tmp_path / "data")


@pytest.fixture
def container(bench: EmbeddedBench) -> Iterator[Container]:
    with waiting(bench, "a") as made:
        yield made


def argv(bench: EmbeddedBench, how: str, *words: str) -> list[str]:
    return [sys.executable, "-c", COMMAND_LINE, str(bench.data), how, *words]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def test_it_has_the_containers_environment_and_folder_and_what_is_said_besides(container: Container) -> None:
    assert sh(container, "echo $A $B $PWD") == (0, "image /app\n", "")
    assert sh(container, "echo $A $B; pwd", env={"A": "mine", "B": "new"}, cwd="/etc") == (0, "mine new\n/etc\n", "")


def test_it_does_not_inherit_the_sockets_nor_hears_of_them(bench: EmbeddedBench) -> None:
    ports = (Port(container_port=8080, socket="http"),)
    container = bench.engine.create(bench.spec("a", "sleep 600", ports=ports))
    container.start()
    assert sh(container, "echo $LISTEN_FDS; ls /proc/self/fd | wc -l")[1] == "\n4\n"  # 0, 1, 2 and that of `ls`
    container.remove(force=True)


def test_it_is_in_every_namespace_of_the_container(container: Container) -> None:
    kinds = "ipc uts net pid cgroup mnt user"
    look = f"for kind in {kinds}; do busybox readlink /proc/$who/ns/$kind; done"
    _, own, _ = sh(container, f"who=self; {look}")
    _, first, _ = sh(container, f"who=1; {look}")
    assert own == first
    assert len(set(own.splitlines())) == 7


def test_it_joins_a_container_on_the_hosts_network(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.spec("a", "sleep 600", network=Network.HOST))
    container.start()
    host = str(Path("/proc/self/ns/net").readlink())
    assert sh(container, "busybox readlink /proc/self/ns/net") == (0, f"{host}\n", "")
    container.remove(force=True)


def test_its_limits_are_the_containers(container: Container) -> None:
    _, own, _ = executed(container, "cat", "/proc/self/limits")
    assert own == executed(container, "cat", "/proc/1/limits")[1]


def test_it_ignores_no_signal(container: Container) -> None:
    ignored = executed(container, "grep", "SigIgn", "/proc/self/status")[1].split()[1]
    assert int(ignored, 16) & ~GLIBCS_OWN == 0


def test_a_mebibyte_goes_in_and_comes_out(container: Container) -> None:
    data = bytes(range(32, 127)) * 11038
    assert executed(container, "cat", given=data) == (0, data.decode(), "")


def test_without_input_there_is_nothing_to_read(container: Container) -> None:
    assert executed(container, "cat") == (0, "", "")


def test_its_input_may_go_on_when_it_has_ended(container: Container) -> None:
    assert isinstance(container, CanExec)
    reading, writing = os.pipe()
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - os.devnull
        streams = Streams(stdin=reading, stdout=nowhere.fileno(), stderr=nowhere.fileno())
        assert container.exec(Command(argv=("true",)), streams) == 0
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_a_reader_that_leaves_ends_it(container: Container, bench: EmbeddedBench) -> None:
    with subprocess.Popen(argv(bench, "", "busybox", "yes"), env=environment(), stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stdout.read(4) == b"y\ny\n"
        running.stdout.close()
        assert running.wait(DEADLINE) == 128 + signal.SIGPIPE
    assert container.state().exit_code is None


def test_exit_codes_are_dockers(container: Container) -> None:
    assert executed(container, "/app/readme")[0] == 126
    assert executed(container, "/app")[0] == 126
    assert executed(container, "/nosuch/program")[0] == 127
    assert sh(container, "true", cwd="/nosuch")[0] == 126
    assert sh(container, "kill -TERM $$")[0] == 128 + signal.SIGTERM


@pytest.mark.parametrize("cwd", ["relative", "/proc/self/fd/7", "/app/../proc"])
def test_a_folder_that_leads_out_is_refused(container: Container, cwd: str) -> None:
    with pytest.raises(ConfigError):
        sh(container, "true", cwd=cwd)


def test_a_link_to_a_descriptor_leads_nowhere(bench: EmbeddedBench) -> None:
    folder = bench.data / "unpacked" / bench.layers[0].hex
    for number in range(3, 20):
        (folder / f"fd{number}").symlink_to(f"/proc/self/fd/{number}")
    container = bench.engine.create(bench.spec("a", "sleep 600"))
    container.start()
    codes = {executed(container, "pwd", cwd=f"/fd{number}")[0] for number in range(3, 20)}
    container.remove(force=True)
    assert codes == {126}


def test_it_is_the_containers_user_or_nobody(container: Container) -> None:
    assert sh(container, "id -u", user="65532")[1] == sh(container, "id -u", user="65532:65532")[1] == "65532\n"
    with pytest.raises(UnsupportedError, match="has one user, 65532:65532, and '0' is another"):
        sh(container, "id -u", user="0")


def test_the_container_cannot_look_into_what_joins_it(bench: EmbeddedBench) -> None:
    code = (
        "import os\n"
        "print('ready', flush=True)\n"
        "seen = set()\n"
        "while True:\n"
        "    for pid in filter(str.isdecimal, os.listdir('/proc')):\n"
        "        try:\n"
        "            exe = os.readlink(f'/proc/{pid}/exe')\n"
        "            if exe not in seen: print('exe', exe, flush=True)\n"
        "            seen.add(exe)\n"
        "        except OSError: pass\n"
    )
    looking = bench.spec("b", "", argv=python_argv(code), mounts=python_mounts())
    container = bench.engine.create(looking)
    container.start()
    ready(container)
    for _ in range(10):
        executed(container, "/bin/busybox", "sleep", "0.05")
    seen = {line.text.split()[1] for line in container.logs() if line.text.startswith("exe")}
    seen -= {"/memfd:tiffin"}  # the last hop, of which there is nothing to see (ADR 22)
    container.remove(force=True)
    assert "/bin/busybox" in seen
    assert {Path(path).name.rstrip("0123456789.") for path in seen} == {"python", "busybox"}
    assert len(seen) == 2


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_whoever_ran_it(container: Container, bench: EmbeddedBench, end: signal.Signals) -> None:
    with subprocess.Popen(
        argv(bench, "", "sh", "-c", "echo running; exec sleep 599"), env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        assert running.stdout
        assert running.stdout.readline() == b"running\n"
        os.kill(running.pid, end)
        try:
            running.wait(DEADLINE)
        finally:
            running.kill()
    until(lambda: "sleep 599" not in sh(container, "busybox ps -o args")[1])


def test_it_ends_with_the_container(container: Container) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(sh(container, "touch /tmp/there; exec sleep 600")[0]))
    thread.start()
    until(lambda: executed(container, "ls", "/tmp/there")[0] == 0)
    container.kill()
    thread.join(DEADLINE)
    assert codes == [128 + signal.SIGKILL]


@pytest.mark.usefixtures("container")
def test_a_terminal_is_its_own_and_as_large_as_the_callers(bench: EmbeddedBench) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 101))
    before = termios.tcgetattr(theirs)
    script = "busybox tty; busybox stty size; read line; echo got $line; test -t 2 && exit 9"
    with subprocess.Popen(
        argv(bench, "tty", "sh", "-c", script), env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        seen = _until_seen(ours, b"33 101")
        os.write(ours, b"words\r")
        seen += _until_seen(ours, b"got words")
        assert running.wait(DEADLINE) == 9
    assert b"/dev/pts/0" in seen
    assert termios.tcgetattr(theirs) == before
    for descriptor in (ours, theirs):
        os.close(descriptor)


@pytest.mark.usefixtures("container")
def test_a_terminal_gives_ctrl_c_to_the_program(bench: EmbeddedBench) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        argv(bench, "tty", "sh", "-c", "trap 'echo caught; exit 4' INT; echo waiting; while :; do sleep 0.1; done"),
        env=environment(), stdin=theirs, stdout=theirs, stderr=theirs,
    ) as running:  # fmt: skip
        _until_seen(ours, b"waiting")
        os.write(ours, b"\x03")
        _until_seen(ours, b"caught")
        assert running.wait(DEADLINE) == 4
    for descriptor in (ours, theirs):
        os.close(descriptor)


def test_a_terminals_program_that_is_not_there_is_127_too(container: Container) -> None:
    code, out, _ = executed(container, "nosuch", tty=True)
    assert (code, out) == (127, "tiffin: nosuch: not found\r\n")


def test_a_container_whose_number_means_another_process_is_not_joined(container: Container) -> None:
    assert isinstance(container, EmbeddedContainer)
    pid = container.state().pid
    container.kill()
    until(lambda: gone(pid))
    with pytest.raises(Exception, match="a does not run"):
        executed(container, "true")


def _until_seen(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        assert select.select([descriptor], [], [], DEADLINE)[0], seen
        seen += os.read(descriptor, 4096)
    return seen
