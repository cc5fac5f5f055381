"""Ports of this machine that lead to a service's: bytes as they are, several at once, and what goes wrong."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

import pytest

from apiserver.controller import Controller
from apiserver.server import ApiServer
from kubernetes_fixtures import client, eventually
from tiffin.deploy.kubernetes.forwarding import Forwarding
from tiffin.deploy.kubernetes.reaching import port_of
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Service, Template
from tiffin.errors import ConflictError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.progress import Event, Noted, listening

TEMPLATE = Template(
    image="registry.example/iris", digest=Digest.of(b"iris"), ports={"http": 8080, "grpc": 8081, "metrics": 8082}
)
SERVICE = Service(name="iris", template=TEMPLATE, replicas=Replicas(least=2, most=2))


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def target(server: ApiServer) -> Iterator[KubernetesTarget]:
    with Controller(server).running(), _Server(("127.0.0.1", 0), _Echo) as echo:
        threading.Thread(target=echo.serve_forever, args=(0.02,), daemon=True).start()
        server.pods.ports[8080] = echo.server_address[1]
        target = KubernetesTarget(client(server, "default"), "default")
        target.apply(SERVICE)
        yield target
        echo.shutdown()


@contextmanager
def forwarded(target: KubernetesTarget, remote: str = "") -> Iterator[Forwarding]:
    leads = target.forward("iris", remote, "127.0.0.1", 0)
    thread = threading.Thread(target=copy_context().run, args=(leads.run,), daemon=True)
    thread.start()
    try:
        yield leads
    finally:
        leads.close()
        thread.join(10)


def heard(connection: socket.socket, many: int) -> bytes:
    found = bytearray()
    while len(found) < many and (data := connection.recv(65536)):
        found += data
    return bytes(found)


def test_bytes_go_to_and_fro_as_they_are(target: KubernetesTarget) -> None:
    sent = os.urandom(2 << 20)
    with forwarded(target) as leads, socket.create_connection(("127.0.0.1", leads.port)) as connection:
        writer = threading.Thread(target=connection.sendall, args=(sent,), daemon=True)
        writer.start()
        assert heard(connection, len(sent)) == sent
        writer.join(10)


def test_several_connections_go_at_once(target: KubernetesTarget) -> None:
    with forwarded(target, "http") as leads:
        connections = [socket.create_connection(("127.0.0.1", leads.port)) for _ in range(5)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
        assert [heard(connection, 1) for connection in connections] == [b"0", b"1", b"2", b"3", b"4"]
        for connection in connections:
            connection.close()


def test_a_port_where_nobody_listens_ends_the_connection_and_is_told(target: KubernetesTarget) -> None:
    told: list[Event] = []
    with listening(told.append), forwarded(target, "grpc") as leads:
        with socket.create_connection(("127.0.0.1", leads.port)) as connection:
            assert heard(connection, 1) == b""
        eventually(lambda: any(isinstance(one, Noted) and "error forwarding port 8081" in one.message for one in told))


def test_a_connection_that_comes_while_nothing_runs_is_told_and_the_next_one_works(
    target: KubernetesTarget, server: ApiServer
) -> None:
    told: list[Event] = []
    with listening(told.append), forwarded(target) as leads:
        server.denied.add(("GET", "pods/portforward"))
        with socket.create_connection(("127.0.0.1", leads.port)) as connection:
            assert heard(connection, 1) == b""
        eventually(lambda: any(isinstance(one, Noted) and "was given up" in one.message for one in told))
        server.denied.clear()
        with socket.create_connection(("127.0.0.1", leads.port)) as connection:
            connection.sendall(b"again")
            assert heard(connection, 5) == b"again"


def test_a_port_is_named_by_its_name_its_number_or_the_services(target: KubernetesTarget) -> None:
    assert [port_of(TEMPLATE, one) for one in ("", "http", "80", "8080", "grpc", "8082")] == [
        *(8080, 8080, 8080, 8080, 8081, 8082)
    ]
    with pytest.raises(NotFoundError, match="no port 9") as caught:
        target.forward("iris", "9", "127.0.0.1", 0)
    assert "grpc (8081)" in str(caught.value.hint)


def test_a_port_of_this_machine_that_is_taken_is_told(target: KubernetesTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConflictError, match="cannot listen"):
        target.forward("iris", "", "127.0.0.1", taken.getsockname()[1])
