"""A share of what `make test-fuzz` sends: bad requests to real fronts, every answer looked at."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from fuzz.asking import ask_until_good, liar
from fuzz.campaign import Campaign, Place, run
from fuzz.played import TOKEN
from fuzz.subjects import SUBJECTS
from unit.tiffin_serve.fronts import Serve, Server

SHARE = 700
LIES = 300


@pytest.mark.parametrize("subject", SUBJECTS)
def test_bad_requests_are_refused_and_good_ones_beside_them_answered(
    predictor: Callable[..., Server], subject: str
) -> None:
    source, valid = SUBJECTS[subject]
    server = predictor(source, serve={"max_body_bytes": 200_000}).ready()
    before = server.worker_pids()
    run(Campaign(Place(server.port, valid, 20260), count(), SHARE))
    assert server.process.poll() is None
    assert server.worker_pids() == before


def test_whatever_a_worker_says_clients_get_an_answer(tmp_path: Path, serve: Serve) -> None:
    path = str(tmp_path / "w.sock")
    environment = {"TIFFIN_WORKER_SOCKET": path, "TIFFIN_WORKER_TOKEN": TOKEN}
    server = serve({"format": "python"}, arguments=["front"], environment=environment)
    assert server.port
    with liar(path, 20260, LIES) as worker:
        server.ready()
        counts = ask_until_good(server.port, worker)
    assert counts[200]
    assert counts[500]
    assert server.process.poll() is None
    assert "Traceback" not in server.log
