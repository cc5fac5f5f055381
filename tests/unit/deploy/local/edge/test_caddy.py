"""The edge with a real Caddy: its own authority, HTTP/2, routes by host, a reload under load, an end and a start."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from programs.waiting import until
from tiffin.deploy.local.edge.caddy import Edge, find_caddy
from tiffin.deploy.local.edge.config import Ports, Route
from tiffin.errors import ConfigError, UnsupportedError

DEADLINE = 30.0


class Service(ThreadingHTTPServer):
    """A service that answers its name."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.name, self.begun, self.release = name, threading.Event(), threading.Event()
        threading.Thread(target=lambda: self.serve_forever(0.01), daemon=True).start()

    def route(self, host: str) -> Route:
        return Route(host=host, address="127.0.0.1", port=self.server_port)


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.server.begun.set()
            self.server.release.wait(DEADLINE)
        body = self.server.name.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Site:
    """An edge on ports of its own, and a client that trusts its authority."""

    def __init__(self, folder: Path) -> None:
        self.ports = Ports(http=free(), https=free())
        self.folder = folder
        self.edge = Edge(folder, self.ports)

    def tls(self, host: str, *protocols: str) -> ssl.SSLSocket:
        """Connect as to this host, once the edge has a certificate for it."""
        until(self.edge.authority)
        context = ssl.create_default_context(cadata=self.edge.authority())
        if protocols:
            context.set_alpn_protocols(list(protocols))
        due = time.monotonic() + DEADLINE
        while True:
            plain = socket.create_connection(("127.0.0.1", self.ports.https), timeout=DEADLINE)
            try:
                return context.wrap_socket(plain, server_hostname=host)
            except (ssl.SSLError, OSError):
                plain.close()
                assert time.monotonic() < due, "no certificate"
                time.sleep(0.05)

    def get(self, host: str, path: str = "/") -> str:
        connection = http.client.HTTPConnection(host)
        connection.sock = self.tls(host)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    try:
        find_caddy()
    except UnsupportedError:
        pytest.skip("needs caddy")
    site = Site(tmp_path)
    yield site
    site.edge.end()


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    made = {name: Service(name) for name in ("iris", "web")}
    yield made
    for one in made.values():
        one.shutdown()
        one.server_close()


def test_hosts_are_led_to_their_services_by_https_that_its_own_authority_vouches_for(
    site: Site, services: dict[str, Service]
) -> None:
    site.edge.keep([services["iris"].route("iris.localhost"), services["web"].route("web.test")])
    assert [site.get("iris.localhost"), site.get("web.test")] == ["iris", "web"]
    with site.tls("iris.localhost", "h2", "http/1.1") as connection:
        assert connection.selected_alpn_protocol() == "h2"


def test_http_leads_to_https(site: Site, services: dict[str, Service]) -> None:
    site.edge.keep([services["iris"].route("iris.localhost")])
    site.get("iris.localhost")
    connection = http.client.HTTPConnection("127.0.0.1", site.ports.http, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("GET", "/page", headers={"host": "iris.localhost"})
        answer = connection.getresponse()
        answer.read()
    assert answer.status == 308
    assert answer.getheader("location") == f"https://iris.localhost:{site.ports.https}/page"


class Asking:
    """A client that asks again and again, each time on a connection of its own, and one that asks what takes long."""

    def __init__(self, site: Site) -> None:
        self.answers, self.slow, self._site, self._ending = Counter[str](), list[str](), site, threading.Event()
        ask_slowly = threading.Thread(target=lambda: self.slow.append(site.get("iris.localhost", "/slow")))
        self._threads = [threading.Thread(target=self._ask), ask_slowly]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _ask(self) -> None:
        while not self._ending.is_set():
            try:
                self.answers[self._site.get("iris.localhost")] += 1
            except http.client.RemoteDisconnected:
                self.answers["closed before it was asked"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[repr(error)] += 1


def test_another_configuration_refuses_nobody_and_what_is_asked_is_answered(
    site: Site, services: dict[str, Service]
) -> None:
    routes = [services["iris"].route("iris.localhost")]
    site.edge.keep(routes)
    asking = Asking(site)
    until(services["iris"].begun.is_set)
    for number in range(5):
        enough = asking.answers["iris"] + 5
        until(lambda enough=enough: asking.answers["iris"] > enough)  # type: ignore[misc]
        site.edge.keep([*routes, services["web"].route(f"web-{number}.test")])
    services["iris"].release.set()
    asking.end()
    assert asking.slow == ["iris"]
    assert asking.answers.pop("closed before it was asked", 0) <= 5, (
        "Caddy lets new connections go with a configuration"
    )
    assert set(asking.answers) == {"iris"}
    assert site.get("web-4.test") == "web"


def test_one_that_was_killed_is_started_again_with_all_it_had(site: Site, services: dict[str, Service]) -> None:
    routes = [services["iris"].route("iris.localhost")]
    site.edge.keep(routes)
    authority, first = site.edge.authority(), site.edge.pid()
    os.kill(first, signal.SIGKILL)
    until(lambda: not site.edge.pid())
    site.edge.keep(routes)
    assert site.edge.pid() not in {0, first}
    assert site.get("iris.localhost") == "iris"
    assert site.edge.authority().startswith(authority)


def test_the_next_supervisor_finds_it_and_starts_no_other(site: Site, services: dict[str, Service]) -> None:
    site.edge.keep([services["iris"].route("iris.localhost")])
    other = Edge(site.folder, site.ports)
    other.keep([services["iris"].route("iris.localhost")])
    assert other.pid() == site.edge.pid()


def test_without_a_host_nothing_is_started(site: Site) -> None:
    site.edge.keep([])
    assert site.edge.pid() == 0


def test_a_port_that_is_taken_is_told_and_what_was_there_stays(site: Site, services: dict[str, Service]) -> None:
    routes = [services["iris"].route("iris.localhost")]
    site.edge.keep(routes)
    with socket.create_server(("", free())) as taken:
        other = Edge(site.folder, Ports(http=site.ports.http, https=taken.getsockname()[1]))
        with pytest.raises(ConfigError, match="the edge cannot listen"):
            other.keep(routes)
    assert site.get("iris.localhost") == "iris"
