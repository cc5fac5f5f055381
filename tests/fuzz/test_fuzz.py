"""A million bad requests, and a hundred thousand lies of a worker: `make test-fuzz`.

The requests are of our own making, with answers that are known; `test_schema` has those that a tool makes of the
server's OpenAPI document.

TIFFIN_FUZZ_REQUESTS and TIFFIN_FUZZ_SEED ask for another number of them, and for others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from fuzz.asking import ask_until_good, liar
from fuzz.campaign import Campaign, Place, resident, run
from fuzz.played import TOKEN
from fuzz.subjects import SUBJECTS
from unit.tiffin_serve.fronts import Serve, Server

pytestmark = pytest.mark.fuzz
REQUESTS = int(os.environ.get("TIFFIN_FUZZ_REQUESTS", "1000000"))
SEED = int(os.environ.get("TIFFIN_FUZZ_SEED", "1"))
PATIENT = {"deadline_ms": 300_000}
"""A front that nothing hangs for: it would kill a worker that a busy machine lets wait."""
SPARE = 6 * 1024
"""By so many KiB a process may grow after its first tenth of all requests."""
SLOWER = 25
"""So many times longer than among valid requests somebody else may wait among bad ones, in the median."""


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_million_requests(predictor: Callable[..., Server], subject: str) -> None:
    source, valid = SUBJECTS[subject]
    server = predictor(source, serve={"max_body_bytes": 200_000}).ready()
    workers, place, numbers = server.worker_pids(), Place(server.port, valid, SEED), count()
    share = REQUESTS // len(SUBJECTS)
    calm, first, rest = (
        Campaign(place, numbers, share // 10, wild=False),
        Campaign(place, numbers, share // 10),
        Campaign(place, numbers, share - share // 10),
    )
    run(calm)
    run(first)
    before = [resident([pid]) for pid in (server.process.pid, *workers)]
    began = time.monotonic()
    run(rest)
    seconds = time.monotonic() - began
    after = [resident([pid]) for pid in (server.process.pid, *workers)]
    print(f"\n{subject}: {rest.sent / seconds:.0f} requests a second; memory {before} and then {after} KiB")  # noqa: T201 - what `make test-fuzz` is asked for
    assert server.process.poll() is None
    assert server.worker_pids() == workers
    assert all(now <= then + SPARE for then, now in zip(before, after, strict=True))
    assert _median(rest.latencies) <= SLOWER * _median(calm.latencies)
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("accept", "more"), [(b"*/*", ()), (b"application/x-ndjson", ("streams",))], ids=["whole", "parts"]
)
def test_a_hundred_thousand_lies(tmp_path: Path, serve: Serve, accept: bytes, more: tuple[str, ...]) -> None:
    path = str(tmp_path / "w.sock")
    environment = {"TIFFIN_WORKER_SOCKET": path, "TIFFIN_WORKER_TOKEN": TOKEN}
    server = serve({"format": "python"}, arguments=["front"], environment=environment, serve=PATIENT)
    assert server.port
    sizes = []
    for round_ in range(10):
        with liar(path, SEED + round_, REQUESTS // 200, *more) as worker:
            server.ready()
            counts = ask_until_good(server.port, worker, accept)
        assert counts[200]
        assert counts[500]
        sizes.append(resident([server.process.pid]))
    assert server.process.poll() is None
    assert sizes[-1] <= sizes[1] + SPARE, sizes
    assert "Traceback" not in server.log


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
