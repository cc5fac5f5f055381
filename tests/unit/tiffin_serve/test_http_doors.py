"""Where clients come in, that they lose nothing when the server stops, and what ten thousand of them cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unit.tiffin_serve.desks import until
from unit.tiffin_serve.fronts import DEADLINE, SRC, Server, wait_for
from unit.tiffin_serve.test_http import request

Own = Callable[..., Server]
DOUBLE = """
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        return inputs["x"] * 2
"""
SLOW = """
import pathlib, time
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        here = pathlib.Path(__file__).parent
        (here / "began").touch()
        while not (here / "go").exists():
            time.sleep(0.01)
        return inputs["x"]
"""
PING = request(b"/v2/health/live")
LAST = request(b"/v2/health/live", headers=b"Connection: close\r\n")
MANY = 10_000
ROOM = 2_000
"""Open files that there may be besides: of this process and its other tests."""
KIB_EACH = 12


def ask_at(family: socket.AddressFamily, address: str | tuple[str, int], sent: bytes = LAST) -> bytes:
    with socket.socket(family) as client:
        client.settimeout(DEADLINE)
        client.connect(address)
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_unix_socket_is_listened_on_and_taken_away_at_the_end(predictor: Own, tmp_path: Path) -> None:
    path = tmp_path / "front.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = predictor(DOUBLE, serve={"access_log": True}, environment={"TIFFIN_HTTP_SOCKET": str(path)})
    wait_for(lambda: f"listening on unix:{path}" in server.log, "listening")
    wait_for(lambda: "is ready" in server.log, "ready")
    last = request(b"/predict", b"[2]", b"Connection: close\r\n")
    assert ask_at(socket.AF_UNIX, str(path), last).endswith(b'{"predictions":[4]}')
    wait_for(lambda: '"client":""' in server.log, "logged")
    second = predictor(DOUBLE, environment={"TIFFIN_HTTP_SOCKET": str(path)})
    assert second.process.wait(DEADLINE) == 2
    assert second.log == f"tiffin: cannot listen on unix:{path}: Address already in use\n"
    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::]")])
def test_an_address_may_be_chosen(predictor: Own, host: str, shown: str) -> None:
    server = predictor(DOUBLE, environment={"TIFFIN_HOST": host})
    at = f"listening on http://{shown}:"
    wait_for(lambda: at in server.log, "listening")
    port = int(server.log.partition(at)[2].split()[0])
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if host in {address, "::"}:
            assert ask_at(family, (address, port)).endswith(b'{"live":true}')
        else:
            with pytest.raises(ConnectionRefusedError):
                ask_at(family, (address, port))
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"TIFFIN_HOST": "localhost"}, "TIFFIN_HOST is 'localhost'; it must be an address as 0.0.0.0, 127.0.0.1 or ::"),
        ({"TIFFIN_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1:0: Cannot assign requested address"),
        ({"TIFFIN_HTTP_PORT": "http"}, "TIFFIN_HTTP_PORT is 'http'; a port is a number from 0 (any) to 65535"),
        ({"TIFFIN_HTTP_PORT": "65536"}, "TIFFIN_HTTP_PORT is '65536'; a port is a number from 0 (any) to 65535"),
        ({"TIFFIN_HTTP_SOCKET": "/nowhere/x"}, "cannot listen on unix:/nowhere/x: No such file or directory"),
        ({"TIFFIN_HTTP_SOCKET": "/tmp/" + "x" * 200}, "AF_UNIX path too long"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_told(
    predictor: Own, environment: dict[str, str], sentence: str
) -> None:
    server = predictor(DOUBLE, environment=environment)
    assert server.process.wait(DEADLINE) == 2
    assert sentence in server.log
    assert len(server.log.splitlines()) == 1


@pytest.mark.parametrize("unix", [False, True])
def test_an_inherited_socket_of_either_kind_is_used(predictor: Own, tmp_path: Path, *, unix: bool) -> None:
    predictor(DOUBLE).ready().stop()  # writes the service document
    (document,) = tmp_path.glob("service*.json")
    bound = socket.socket(socket.AF_UNIX if unix else socket.AF_INET6)
    bound.bind(str(tmp_path / "handed.sock") if unix else ("::1", 0))
    bound.listen()
    script = f"import os,sys\nos.dup2({bound.fileno()},3)\nos.execv(sys.executable,[sys.executable,*sys.argv[1:]])"
    arguments = ["-m", "tiffin_serve.front", "all", "--service", str(document)]
    environment = {"PYTHONPATH": str(SRC), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], env={**os.environ, **environment}, pass_fds=[bound.fileno(), 3]
    ) as process:
        assert ask_at(bound.family, bound.getsockname()).endswith(b'{"live":true}')
        process.terminate()
        assert process.wait(DEADLINE) == 0
    assert not unix or (tmp_path / "handed.sock").exists()
    bound.close()


class Load:
    """Clients that ask as fast as they are answered, until the port is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0
        self.lost: list[str] = []
        self.refused = 0

    async def run(self, keep: int, fresh: int) -> None:
        await asyncio.gather(*[self._ask(keep=number < keep) for number in range(keep + fresh)])

    async def _ask(self, *, keep: bool) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except (ConnectionRefusedError, ConnectionResetError):  # the door was closed while it knocked
                self.refused += 1
                return
            try:
                while await self._once(reader, writer) and keep:
                    pass
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Ask once; says whether the connection may be used again."""
        writer.write(request(b"/predict", b"[2]"))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
        await reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200 "), head
        self.answered += 1
        return b"connection: close" not in head


def test_a_stop_under_load_loses_nothing(predictor: Own) -> None:
    server = predictor(DOUBLE, serve={"drain_seconds": 0.5}).ready()
    load = Load(server.port)

    async def scenario() -> None:
        asking = asyncio.ensure_future(load.run(keep=16, fresh=16))
        await until(lambda: load.answered >= 500, "under load")
        server.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asking, DEADLINE)

    asyncio.run(scenario())
    assert server.process.wait(DEADLINE) == 0
    assert load.lost == []
    assert load.refused == 32
    assert load.answered > 500


def test_a_front_that_is_killed_takes_its_worker_along_and_its_clients_hear_of_it(
    predictor: Own, tmp_path: Path
) -> None:
    server = predictor(SLOW).ready()
    worker = server.worker_pid()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
        client.sendall(request(b"/predict", b"[2]"))
        wait_for((tmp_path / "began").exists, "the batch is out")
        server.process.kill()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    (tmp_path / "go").touch()
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), "the worker is gone")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open as many files as it takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MANY + ROOM:
        pytest.skip(f"needs a hard limit of {MANY + ROOM} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + ROOM), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(pid: int) -> int:
    """Give a process' resident KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.usefixtures("many_files")
def test_ten_thousand_idle_clients_cost_little_and_others_are_served(predictor: Own) -> None:
    server = predictor(DOUBLE).ready()
    port, before = server.port, resident(server.process.pid)
    clients = [socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) for _ in range(MANY)]
    try:
        for client in clients[::2]:
            client.sendall(PING)
        for client in clients[::2]:
            assert client.recv(1000).endswith(b'{"live":true}')
        assert server.ask("POST", "/predict", [2]) == (200, {"predictions": [4]})
        assert (resident(server.process.pid) - before) / MANY < KIB_EACH
    finally:
        for client in clients:
            client.close()
    assert server.stop() == 0
