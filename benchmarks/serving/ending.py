"""What is lost when a server is told to end: in flight at that moment, or asked in the second after it.

A server behind a load balancer is still asked for about a second after it got SIGTERM, until everyone has heard of it.
"""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tiffin.traffic.address import Address, Question

from .running import Running

BEFORE_SECONDS, AFTER_SECONDS = 0.5, 1.0
ASKERS, PAUSE_SECONDS = 8, 0.02
TIME_OUT = 10


@dataclass
class Lost:
    """Requests that were asked, and those that were not answered right with success."""

    asked: int = 0
    lost: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, answered: bool) -> None:
        """Count one."""
        with self._lock:
            self.asked += 1
            self.lost += not answered


def lost_at_end(server: Running, question: Question, right: Callable[[bytes], bool]) -> Lost:
    """Ask from eight threads, half of which open a connection for each request, and send SIGTERM meanwhile."""
    counted, until = Lost(), time.monotonic() + BEFORE_SECONDS + AFTER_SECONDS
    askers = [
        threading.Thread(
            target=_keep_asking,
            args=(server.address, question, right, counted, until),
            kwargs={"keep": bool(number % 2)},
        )
        for number in range(ASKERS)
    ]
    for asker in askers:
        asker.start()
    time.sleep(BEFORE_SECONDS)
    server.process.send_signal(signal.SIGTERM)
    for asker in askers:
        asker.join()
    return counted


def _keep_asking(
    address: Address, question: Question, right: Callable[[bytes], bool], counted: Lost, until: float, *, keep: bool
) -> None:
    connection = _connection(address)
    while time.monotonic() < until:
        answered = False
        with suppress(OSError, http.client.HTTPException):
            headers = {"Content-Type": "application/json", **question.headers}
            connection.request(question.method, question.path, question.body, headers)
            response = connection.getresponse()
            answered = response.status < 300 and right(response.read())
        counted.count(answered=answered)
        if not (keep and answered):
            connection.close()
            connection = _connection(address)
        time.sleep(PAUSE_SECONDS)
    connection.close()


def _connection(address: Address) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address.host, address.port, timeout=TIME_OUT)
