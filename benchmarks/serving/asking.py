"""Putting loads on a server and measuring both sides of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiffin.errors import UnavailableError
from tiffin.traffic.address import Question
from tiffin.traffic.load import Measured, measure
from tiffin.traffic.schedule import Load

from .processes import computed_seconds, cpu_seconds, spent
from .running import Running

WARM_SECONDS = 0.3
OPEN_CONNECTIONS = 256
"""Enough that only who is overloaded keeps an open loop from asking; what could not be asked counts as lost."""
TIME_OUT = 5.0
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
SCRIPT = """\
wrk.method = "{method}"
wrk.path = "{path}"
wrk.headers["Content-Type"] = "application/json"
{headers}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True)
class Figures:
    """What one load gave: requests a second answered right, seconds, and CPU seconds a request by front and rest.

    `busy` is the share of the time in which the asking side computed, 0 where wrk asked.
    """

    rate: float
    p50: float
    p99: float
    front: float
    rest: float
    lost: int
    busy: float = 0.0

    @property
    def cpu(self) -> float:
        """Of the whole tree."""
        return self.front + self.rest


def ask(server: Running, question: Question, load: Load, right: Callable[[bytes], bool]) -> Figures:
    """Ask with a load in Python, which looks at every answer."""
    before = cpu_seconds(server.process.pid)
    try:
        measured = measure(server.address, question, load, lambda answer: right(answer.body))
    except UnavailableError as error:
        raise AssertionError(error.message) from error
    front, rest = _cpu(server, before, load, measured)
    wrong = measured.wrong + sum(measured.errors.values()) + measured.late
    assert measured.answered, f"nothing was answered right: {dict(measured.errors)}, {measured.wrong} wrong"
    times = measured.latencies
    return Figures(
        rate=measured.answered / measured.seconds,
        p50=times.quantile(0.5),
        p99=times.quantile(0.99),
        front=front,
        rest=rest,
        lost=wrong,
        busy=measured.busy,
    )


def _cpu(server: Running, before: dict[int, float], load: Load, measured: Measured) -> tuple[float, float]:
    """Share the CPU time out, the warm-up's requests being as many for their time as those that were counted."""
    after, root = cpu_seconds(server.process.pid), server.process.pid
    everyone = max(1.0, measured.latencies.count * (load.seconds + load.warm_up) / load.seconds)
    front = spent(before, after, root)
    return front / everyone, (spent(before, after) - front) / everyone


def wrk(server: Running, question: Question, connections: int, seconds: float) -> Figures:
    """Ask with wrk, in a closed loop; it counts what is no success, and looks at no value."""
    with tempfile.TemporaryDirectory(prefix="tiffin-wrk-") as place:
        script, body = Path(place, "post.lua"), Path(place, "body")
        body.write_bytes(question.body)
        headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in question.headers.items())
        script.write_text(SCRIPT.format(method=question.method, path=question.path, headers=headers, body=body))
        options = [f"-c{connections}", "-t1", f"-d{seconds:.0f}s", "--latency", f"--script={script}"]
        before = cpu_seconds(server.process.pid)
        done = subprocess.run(
            [str(shutil.which("wrk")), *options, str(server.address)], capture_output=True, text=True, check=True
        )
        after = cpu_seconds(server.process.pid)
    return read_wrk(done.stdout, spent(before, after, server.process.pid), spent(before, after))


def read_wrk(said: str, front: float, whole: float) -> Figures:
    """Read what wrk prints; raises AssertionError where something failed or nothing was answered."""
    count = int(_found(r"(\d+) requests in", said))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    lost = sum(map(int, errors.groups())) if errors else 0
    if other:
        raise AssertionError(f"wrk counted {other[1]} answers that are no success")
    assert count, "nothing was answered"
    return Figures(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        p50=_time(said, "50%"),
        p99=_time(said, "99%"),
        front=front / count,
        rest=(whole - front) / count,
        lost=lost,
    )


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    assert found, f"wrk said: {said}"
    return found[1]


def _time(said: str, quantile: str) -> float:
    found = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s|m)\b", said)
    assert found, f"wrk said: {said}"
    return float(found[1]) * UNITS[found[2]]


def idle_share(server: Running, seconds: float) -> float:
    """Tell which part of a core a server uses while nobody asks."""
    before, began = computed_seconds(server.process.pid), time.perf_counter()
    time.sleep(seconds)
    return (computed_seconds(server.process.pid) - before) / (time.perf_counter() - began)
