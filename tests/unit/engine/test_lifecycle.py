"""Who dies with whom: keeper, container, command line; and what a kill at any moment leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from contract.engine_fixtures import EmbeddedBench, python_argv, python_mounts, ready
from programs.keepers import keeper
from programs.waiting import until
from tiffin.engine.spec import KILLED, Container, Port, Status
from tiffin.errors import ConflictError

COMMAND_LINE = """
import sys, time
from pathlib import Path
from contract.engine_fixtures import begin, never_unpacked
from tiffin.engine.embedded.engine import EmbeddedEngine
container = EmbeddedEngine(Path(sys.argv[1]), never_unpacked, begin(sys.argv[3])).find("a")
container.start(attached=sys.argv[2] == "attached")
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["executed", "forked"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> EmbeddedBench:
    return EmbeddedBench(tmp_path / "data", request.param)


def command_line(bench: EmbeddedBench, how: str) -> subprocess.Popen[bytes]:
    """Another process that starts container `a` and stays; killed with its whole group, as a terminal would not."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND_LINE, str(bench.data), how, bench.begun],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_keeper_that_is_killed_takes_its_container_with_it(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "stubborn"))
    container.start()
    ready(container)
    pid = container.state().pid
    os.kill(keeper(container.state().pid), signal.SIGKILL)
    assert container.wait() == KILLED
    until(lambda: gone(pid))
    state = container.state()
    assert (state.status, state.pid, state.reason) == (Status.EXITED, 0, "its keeper was killed, and it with it")


def test_a_container_that_gave_up_its_parent_death_signal_dies_with_its_keeper_too(bench: EmbeddedBench) -> None:
    code = (
        "import ctypes, signal, time\n"
        "assert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    container = bench.engine.create(bench.spec("a", "", argv=python_argv(code), mounts=python_mounts()))
    container.start()
    ready(container)
    pid = container.state().pid
    os.kill(keeper(container.state().pid), signal.SIGKILL)
    until(lambda: gone(pid))


def test_after_its_keeper_was_killed_it_starts_again_and_can_be_removed(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    container.start()
    os.kill(keeper(container.state().pid), signal.SIGKILL)
    container.wait()
    said = len(list(container.logs()))
    container.start()
    ready(container, said + 1)
    container.stop()
    assert container.wait() == 5
    container.remove()


def test_a_keeper_that_hangs_is_killed_by_stop(bench: EmbeddedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.engine.embedded.container._PATIENCE", 0.1)
    container = bench.engine.create(bench.program("a", "serve"))
    container.start()
    pid = container.state().pid
    os.kill(keeper(container.state().pid), signal.SIGSTOP)
    container.stop(0)
    until(lambda: gone(pid))
    assert container.state().status is Status.EXITED


def test_a_keeper_told_to_terminate_stops_its_container_first(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    container.start()
    ready(container)
    os.kill(keeper(container.state().pid), signal.SIGTERM)
    assert container.wait() == 5


def test_an_attached_container_stops_when_its_command_line_is_killed(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    with command_line(bench, "attached") as process:
        assert process.stdout
        assert process.stdout.readline() == b"started\n"
        ready(container)
        process.kill()
        assert container.wait() == 5
    assert [line.text for line in container.logs()] == ["ready", "drained"]


def test_a_detached_container_goes_on_when_its_command_line_is_killed(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    with command_line(bench, "detached") as process:
        assert process.stdout
        assert process.stdout.readline() == b"started\n"
        process.kill()
    assert container.state().status is Status.RUNNING
    assert keeper(container.state().pid) != process.pid
    ready(container)
    container.stop()
    assert container.wait() == 5


@pytest.mark.parametrize("how", ["attached", "detached"])
def test_a_command_line_killed_at_any_moment_of_a_start_leaves_nothing_locked(bench: EmbeddedBench, how: str) -> None:
    container = bench.engine.create(bench.program("a", "serve", stop_seconds=0.1))
    for attempt in range(12):
        with command_line(bench, how) as process:
            time.sleep(0.06 + attempt * 0.012)  # not a wait: the moments at which it dies
            process.kill()
        if how == "attached":
            until(lambda: container.state().status is not Status.RUNNING)
        container.stop(0)
        started_again(container)
    container.remove()
    assert bench.engine.list() == []


def started_again(container: Container) -> None:
    """Start it; a keeper of the attempt before may still be starting, and is then waited for."""

    def start() -> bool:
        try:
            container.start()
        except ConflictError:
            container.stop(0)
            return False
        return True

    until(start)
    container.stop(0)
    until(lambda: container.state().status is not Status.RUNNING)


def test_of_many_who_start_it_one_does(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    started, refused = [], []

    def start() -> None:
        try:
            bench.engine.find("a").start()
            started.append(1)
        except ConflictError:
            refused.append(1)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(started), len(refused)) == (1, 5)
    container.stop(0)


def test_20_containers_run_at_once(bench: EmbeddedBench) -> None:
    containers = [bench.engine.create(bench.program(f"c{number}", "serve")) for number in range(20)]
    for container in containers:
        container.start()
    for container in containers:
        ready(container)
    stopping = [threading.Thread(target=container.stop) for container in containers]
    for thread in stopping:
        thread.start()
    for thread in stopping:
        thread.join()
    assert [container.wait() for container in containers] == [5] * 20


def test_a_port_is_free_again_when_its_container_has_exited(bench: EmbeddedBench) -> None:
    ports = (Port(container_port=8080, socket="http"),)
    container = bench.engine.create(bench.program("a", "serve", ports=ports))
    container.start()
    number = container.state().ports[0].host_port
    container.stop(0)
    again = (Port(container_port=8080, socket="http", host_port=number),)
    other = bench.engine.create(bench.program("b", "serve", ports=again))
    other.start()
    other.stop(0)


def test_half_written_state_and_folders_of_the_dead_mean_nothing(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "hello"))
    folder = bench.data / "containers" / container.id
    (folder / "run/state.json").write_text('{"status": "runn')
    assert container.state().status is Status.CREATED
    (bench.data / "containers/.new-feed").mkdir()
    (bench.data / "containers/names/ghost").symlink_to("../gone")
    assert [found.id for found in bench.engine.list()] == [container.id]
    assert bench.engine.create(bench.program("ghost", "hello")).spec.name == "ghost"


def test_the_container_user_cannot_lead_a_reader_of_its_folder_astray(bench: EmbeddedBench, tmp_path: Path) -> None:
    container = bench.engine.create(bench.program("a", "hello"))
    (tmp_path / "elsewhere").write_text('{"log": "secret", "stream": "stdout", "time": ""}\n')
    (bench.data / "containers" / container.id / "run/log.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        list(container.logs())


def test_a_lot_of_output_arrives_whole_and_in_order(bench: EmbeddedBench) -> None:
    script = "busybox seq 1 50000; busybox head -c 40000 /dev/zero | busybox tr '\\0' x"
    container = bench.engine.create(bench.spec("a", script))
    container.start()
    lines = [line.text for line in container.logs(follow=True)]
    assert lines[:50000] == [str(number) for number in range(1, 50001)]
    assert "".join(lines[50000:]) == "x" * 40000
