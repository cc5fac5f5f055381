"""A running service, as a client over HTTP sees it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .client import Client
from .waiting import DEADLINE_SECONDS, until

HOST = "127.0.0.1"
ADDRESS = f"{HOST}:8080"
"""Where a container on the host's network listens by itself; tests give it a port that is free (`running`)."""
SOCKETS = ("TIFFIN_HTTP_PORT", "TIFFIN_METRICS_PORT")


def answers(address: str, path: str) -> bool:
    """Whether GET `path` is answered with 200 by whoever listens on `host:port`."""
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_ready(address: str, logs: Callable[[], str]) -> None:
    """Wait until the model is loaded; raises AssertionError with the logs."""
    until(lambda: answers(address, "/v2/health/ready"), lambda: f"{address} is ready\n{logs()}")


def predict(address: str, rows: object, path: str = "/predict") -> dict[str, Any]:
    """Ask for predictions of rows, as the server wants them; raises AssertionError for anything but an answer."""
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
    try:
        connection.request("POST", path, json.dumps(rows), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    assert response.status == http.HTTPStatus.OK, f"{address} answered {response.status}: {text}"
    answer: dict[str, Any] = json.loads(text)
    return answer


@contextmanager
def running(engine: Client, image: str, *options: str) -> Iterator[str]:
    """Run a container on the host's network while the block runs, from when it is ready; gives its `host:port`.

    It listens on free ports: a service that another test deploys meanwhile takes those of the image where it can.
    """
    ports = free_ports(len(SOCKETS))
    where = [f"--env={name}={port}" for name, port in zip(SOCKETS, ports, strict=True)]
    address = f"{HOST}:{ports[0]}"
    name = engine("run", "--detach", "--network", "host", *where, *options, image)
    try:
        wait_until_ready(address, lambda: engine.logs(name))
        yield address
    finally:
        engine.remove(name)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that nobody is given for the asking until they are all found."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(count)]
