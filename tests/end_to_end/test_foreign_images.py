"""nginx and postgres, made of Debian's packages: they start as root, change their user, write, and bind their ports."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from end_to_end.small import tiffin
from programs.debian_image import debian_image
from programs.waiting import until
from tiffin.engine.embedded.machine import Machine
from tiffin.oci.documents import RunConfig

NGINX_CONF = """\
user www-data;
daemon off;
worker_processes 2;
error_log /dev/stderr;
pid /run/nginx.pid;
events {}
http {
    access_log /dev/stdout;
    server { listen 80; root /var/www; }
}
"""
NGINX_FILES = {
    "etc/nginx/nginx.conf": (NGINX_CONF, 0, 0o644),
    "var/www/index.html": ("a page of nginx\n", 33, 0o640),
    "var/lib/nginx": (None, 0, 0o755),
    "var/log/nginx": (None, 0, 0o755),
    "run": (None, 0, 0o755),
}
ENTRY = """\
#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres:postgres "$PGDATA" /run/postgresql
    chmod 700 "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync >&2
fi
exec "$@"
"""
POSTGRES_FILES = {
    "usr/local/bin/entry": (ENTRY, 0, 0o755),
    "var/lib/postgresql": (None, 999, 0o750),
    "run": (None, 0, 0o755),
}
POSTGRES = RunConfig(
    entrypoint=["/usr/local/bin/entry"],
    cmd=["postgres", "-c", "listen_addresses=*", "-c", "fsync=off"],
    env=["PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin", "PGDATA=/var/lib/postgresql/data"],
    stop_signal="SIGINT",
)


@pytest.fixture(scope="module", autouse=True)
def _ids() -> None:
    if Machine.here().ids is None:
        pytest.skip("needs an ordinary user's range in /etc/subuid")


@pytest.fixture
def own(home: Path) -> Iterator[Path]:
    """A home whose containers are gone after the test."""
    yield home
    for line in tiffin(home, "ps", "-a").splitlines()[1:]:
        tiffin(home, "rm", "-f", line.split()[0])


def where(printed: str) -> tuple[str, int]:
    parts = urlsplit(f"//{printed.strip()}")
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def test_nginx_serves_a_page_as_another_user_on_its_own_port(own: Path) -> None:
    config = RunConfig(entrypoint=["nginx"], stop_signal="SIGQUIT")
    name = debian_image(own, "nginx", ["nginx-light"], NGINX_FILES, config)
    address = where(tiffin(own, "run", "-d", "--name", "web", "-p", "0:80", name))
    for _ in range(20):
        connection = http.client.HTTPConnection(*address, timeout=20)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"a page of nginx\n")
        connection.close()
    users = tiffin(
        own, "exec", "web", "sh", "-c", "cat /proc/[0-9]*/status | grep -E 'Name:.nginx|^Uid' | grep -A1 nginx"
    )
    assert sorted(line.split()[1] for line in users.splitlines() if line.startswith("Uid")) == ["0", "33", "33"]
    until(lambda: "GET / HTTP/1.1" in tiffin(own, "logs", "web"), lambda: "nginx logs what it serves")
    tiffin(own, "stop", "web")
    assert "exited 0" in tiffin(own, "ps", "-a")


def test_postgres_makes_its_database_and_keeps_it_over_a_restart(own: Path) -> None:
    name = debian_image(own, "postgres", ["postgresql-15", "gosu"], POSTGRES_FILES, POSTGRES)
    address = where(tiffin(own, "run", "-d", "--name", "db", "-p", "0:5432", name))
    assert query(address, "create table t as select 6 * 7 as answer; select answer from t") == ["42"]
    assert query(address, "select setting from pg_settings where name = 'data_directory'") == [
        "/var/lib/postgresql/data"
    ]
    assert tiffin(own, "exec", "db", "sh", "-c", "id -u").strip() == "0"
    tiffin(own, "restart", "db")
    found = tiffin(own, "ps")
    port = int(found.splitlines()[1].split("127.0.0.1:")[1].split("->")[0])
    assert query(("127.0.0.1", port), "select answer from t") == ["42"]


def query(address: tuple[str, int], text: str) -> list[str]:
    """Ask postgres over its own protocol (version 3.0) as its superuser; returns the first column."""
    with socket.create_connection(address, timeout=20) as client, client.makefile("rb") as stream:
        startup = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        client.sendall(struct.pack("!i", len(startup) + 4) + startup)
        rows = list[str]()
        asked = False
        while True:
            kind, (size,) = stream.read(1), struct.unpack("!i", stream.read(4))
            body = stream.read(size - 4)
            assert kind != b"E", body
            if kind == b"D":
                (length,) = struct.unpack("!i", body[2:6])
                rows.append(body[6 : 6 + length].decode())
            if kind == b"Z":
                if asked:
                    return rows
                asked = True
                client.sendall(b"Q" + struct.pack("!i", len(text) + 5) + text.encode() + b"\0")
