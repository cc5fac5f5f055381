"""A share of what `make test-fuzz` sends: bad requests to real fronts, every answer looked at."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from fuzz.campaign import Campaign, Place, run
from fuzz.subjects import SUBJECTS
from unit.tiffin_serve.fronts import Server

SHARE = 700


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
