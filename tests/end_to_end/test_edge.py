"""The edge of a machine with a real Caddy: services by host over HTTPS, whoever dies."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from end_to_end import test_others as others
from end_to_end.supervised import begun
from tiffin.api.machine.home import Home
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.edge.caddy import Edge, find_caddy
from tiffin.deploy.local.edge.config import Ports
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas
from tiffin.errors import ConflictError, UnsupportedError

HOST = "words.localhost"


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Machine(others.Machine):
    """A home with the image, and a supervisor with an edge."""

    def supervise(self) -> None:
        self.ports = getattr(self, "ports", None) or Ports(http=free(), https=free())
        self.edge = Edge(Home.of({"TIFFIN_HOME": str(self.home)}).data, self.ports)
        edge = f"--edge={self.ports.http}:{self.ports.https}"
        self.process = begun(self.home, edge, more={"PATH": os.environ["PATH"]})

    def ask(self, host: str = HOST) -> str:
        """Ask by HTTPS, trusting nobody but the edge's own authority; says what went wrong otherwise."""
        try:
            context = ssl.create_default_context(cadata=self.edge.authority())
            plain = socket.create_connection(("127.0.0.1", self.ports.https), timeout=others.DEADLINE)
            with contextlib.closing(http.client.HTTPConnection(host)) as client:
                client.sock = context.wrap_socket(plain, server_hostname=host)
                client.request("GET", "/")
                return client.getresponse().read().decode().strip()
        except (OSError, ValueError, http.client.HTTPException) as error:
            time.sleep(0.05)
            return repr(error)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    try:
        find_caddy()
    except UnsupportedError:
        pytest.skip("needs caddy")
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path))
    machine = Machine(tmp_path)
    yield machine
    machine.kill_supervisor()
    machine.edge.end()


def test_a_host_leads_to_its_service_whoever_dies(machine: Machine) -> None:
    target: LocalTarget = this_machine(Home.of())
    assert not machine.edge.pid(), "without a host it costs nothing"
    service = msgspec.structs.replace(machine.service("one", Replicas()), host=HOST)
    status = target.apply(service)
    assert status.addresses[-1] == f"https://{HOST}:{machine.ports.https}"
    others.until(lambda: machine.ask() == "one")
    with pytest.raises(ConflictError, match="leads to words already"):
        target.apply(msgspec.structs.replace(service, name="others"))
    first = machine.edge.pid()
    machine.kill_supervisor()
    assert machine.ask() == "one"
    machine.supervise()
    assert machine.edge.pid() == first
    os.kill(first, signal.SIGKILL)
    others.until(lambda: machine.edge.pid() not in {0, first} and machine.ask() == "one")
    target.apply(msgspec.structs.replace(service, template=machine.service("two").template))
    assert machine.ask() == "two", "a rollout is nothing that the edge hears of"
    target.delete("words")
    others.until(lambda: machine.ask() not in {"one", "two"})
