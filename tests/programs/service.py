"""A running service, as a client over HTTP sees it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .client import Client
from .process import DEADLINE_SECONDS, wait_until

ADDRESS = "127.0.0.1:8080"
"""Where a container on the host's network listens."""


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
    wait_until(lambda: answers(address, "/v2/health/ready"), lambda: f"{address} is ready\n{logs()}")


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
    """Run a container on the host's network while the block runs, from when it is ready; gives its `host:port`."""
    assert not answers(ADDRESS, "/v2/health/live"), f"something else already listens on {ADDRESS}"
    name = engine("run", "--detach", "--network", "host", *options, image)
    try:
        wait_until_ready(ADDRESS, lambda: engine.logs(name))
        yield ADDRESS
    finally:
        engine.remove(name)
