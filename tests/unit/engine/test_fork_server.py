"""Keepers that one process forks: as good as those that are executed, whatever becomes of that process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.engine_fixtures import EmbeddedBench, begin, never_unpacked, ready
from faults.family import Family, family
from programs.keepers import keeper, standing
from programs.waiting import until
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.embedded.handing import handed, received
from tiffin.engine.spec import Port, Secret

STARTER = """
import sys, time
from pathlib import Path
from contract.engine_fixtures import EmbeddedBench

bench = EmbeddedBench(Path(sys.argv[1]), "forked")
bench.engine.create(bench.program("a", "serve")).start()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def bench(tmp_path: Path) -> EmbeddedBench:
    return EmbeddedBench(tmp_path / "data", "forked")


@pytest.fixture
def relatives() -> Iterator[Family]:
    with family() as found:
        yield found


def servers(relatives: Family) -> list[int]:
    """The processes that fork keepers; a keeper goes by the same words, and leads a session of nobody."""
    named = [pid for pid in relatives.alive() if b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return [pid for pid in named if os.getsid(pid) == pid]


@pytest.fixture
def interrupted() -> Iterator[None]:
    """Hear of interruptions, even where the tests run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupted")
def test_a_forked_keeper_stands_as_one_that_is_executed(tmp_path: Path) -> None:
    bench = EmbeddedBench(tmp_path / "data", "forked")
    engines = {"forked": bench.engine, "executed": EmbeddedEngine(bench.data, never_unpacked)}
    pids = []
    for name, engine in engines.items():
        container = engine.create(bench.program(name, "serve", ports=(Port(container_port=80, socket="http"),)))
        container.start()
        ready(container)
        pids.append(keeper(container.state().pid))

    def seen() -> list[str]:
        return [str(standing(pid, os.getpid())) for pid in pids]

    until(lambda: len(set(seen())) == 1, lambda: "\n".join(seen()))  # whoever asked a keeper something has left it
    for name in engines:
        bench.engine.find(name).remove(force=True)


@pytest.mark.parametrize("how", ["forked", "executed"])
def test_what_a_shell_ignores_in_the_background_its_container_does_not(tmp_path: Path, how: str) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        bench = EmbeddedBench(tmp_path / "data", how)
        container = bench.engine.create(bench.spec("a", "grep SigIgn /proc/self/status"))
        container.start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert container.wait() == 0
    [line] = container.logs()
    assert not int(line.text.split()[1], 16) & 1 << signal.SIGINT - 1


def test_ports_and_secrets_come_along(bench: EmbeddedBench, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    secrets = (Secret(name="token", source=str(tmp_path / "token")),)
    ports = (Port(container_port=80, socket="http"), Port(container_port=81, socket="grpc"))
    script = 'cat /run/secrets/token; echo "$LISTEN_FDNAMES"'
    container = bench.engine.create(bench.spec("a", script, secrets=secrets, ports=ports))
    container.start()
    assert container.wait() == 0
    assert [line.text for line in container.logs()] == ["hunter2", "http:grpc"]


def test_a_port_is_free_again_as_soon_as_its_container_has_ended(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.spec("a", "true", ports=(Port(container_port=80),)))
    container.start()
    container.wait()
    again = Port(container_port=80, host_port=container.state().ports[0].host_port)
    other = bench.engine.create(bench.spec("b", "true", ports=(again,)))
    other.start()
    assert other.wait() == 0


def test_containers_outlive_the_server_and_others_start_without_it(relatives: Family, bench: EmbeddedBench) -> None:
    first, second = (bench.engine.create(bench.program(name, "serve")) for name in ("a", "b"))
    first.start()
    ready(first)
    (server,) = servers(relatives)
    os.kill(server, signal.SIGKILL)
    until(lambda: servers(relatives) == [])
    second.start()
    ready(second)
    for container in (first, second):
        container.stop()
        assert container.wait() == 5


def test_a_server_ends_with_who_started_it_and_its_containers_go_on(relatives: Family, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"started\n"
        assert len(servers(relatives)) == 1
        starter.kill()
    until(lambda: servers(relatives) == [])
    (container,) = EmbeddedEngine(tmp_path / "data", never_unpacked).list()
    container.stop()
    assert container.wait() == 5


def test_a_server_that_nobody_needs_any_more_is_gone(relatives: Family) -> None:
    fork = begin("forked")
    assert relatives.alive() != []
    del fork
    assert relatives.alive() == []


@given(st.lists(st.integers(0, 99), min_size=4, max_size=20, unique=True), st.integers(0, 18))
def test_what_is_handed_over_keeps_its_meaning(numbers: list[int], cut: int) -> None:
    lease, folder, *rest = numbers
    plan: Any = {
        "name": "a",
        "lease": lease,
        "folder": folder,
        "listeners": rest[:cut],
        "secrets": [(number, f"/run/secrets/{number}") for number in rest[cut:]],
    }
    there: Any = received(plan, [number + 100 for number in handed(plan)])
    assert (there["name"], there["lease"], there["folder"]) == ("a", lease + 100, folder + 100)
    assert there["listeners"] == [number + 100 for number in rest[:cut]]
    assert there["secrets"] == [(number + 100, f"/run/secrets/{number}") for number in rest[cut:]]
