"""A share of what `make test-fuzz` sends: bad requests to real fronts, every answer looked at."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from fuzz.asking import ask_until_good, liar
from fuzz.campaign import Campaign, FindingError, Place, run
from fuzz.cases import Case, make, train
from fuzz.client import Answer, ProblemError, examine
from fuzz.drafts import Draft
from fuzz.mutations import SHAPES
from fuzz.played import TOKEN
from fuzz.subjects import SUBJECTS
from unit.tiffin_serve.fronts import Serve, Server

SHARE = 700
LIES = 300
PATIENT = {"deadline_ms": 300_000}
"""A front that nothing hangs for: it would kill a worker that a busy machine lets wait."""


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


def test_what_goes_wrong_is_told_with_as_little_as_does_it(predictor: Callable[..., Server]) -> None:
    source = SUBJECTS["matrix"][0].replace("return", 'assert abs(inputs["x"]).max() < 1e200\n            return')
    server = predictor(source).ready()
    with pytest.raises(FindingError) as found:
        run(Campaign(Place(server.port, SUBJECTS["matrix"][1], 7), count(), SHARE * 9))
    text = str(found.value)
    assert text.startswith('status 500: b\'{"error":"the model failed: AssertionError')
    assert text.count("Case(") == 1
    assert text.count("mutations=((") == 1
    assert "breaking=None" in text
    assert "1e3" in text


VALID = [lambda _: (Draft(b"GET", b"/", []), {"y": 1})]
GOOD = Answer(200, {b"x-request-id": b"a", b"content-type": b"application/json"}, b'{"y":1,"z":2}')


@pytest.mark.parametrize(
    "answer",
    [
        GOOD._replace(status=500),
        GOOD._replace(status=400, body=b'{"error":"no"}'),
        GOOD._replace(body=b'{"y":2}'),
        GOOD._replace(body=b'{"y":NaN}'),
        GOOD._replace(headers={b"x-request-id": b"b", b"content-type": b"application/json"}),
        GOOD._replace(body=b'{"y":1,"z":"Traceback (most recent call last)"}'),
    ],
    ids=["status", "twin", "number", "json", "order", "private"],
)
def test_a_wrong_answer_is_seen(answer: Answer) -> None:
    request = make(Case(b"a", 0, 1), VALID)
    examine(request, GOOD)
    with pytest.raises(ProblemError):
        examine(request, answer)


def test_an_error_has_to_have_its_form() -> None:
    request = make(Case(b"a", 0, 1, ((0, 1),)), VALID)
    refused = GOOD._replace(status=400, body=b'{"error":"no"}')
    examine(request, refused)
    for body in (b"", b"no", b'{"error":1}', b'{"error":"x","more":1}', b'{"error":"/site-packages"}'):
        with pytest.raises(ProblemError):
            examine(request, refused._replace(body=body))


def test_what_was_made_before_changes_nothing() -> None:
    before = copy.deepcopy(SHAPES)
    for _, valid in SUBJECTS.values():
        for number in range(400):
            for case in train(3, number, len(valid)):
                make(case, valid)
    assert before == SHAPES


def test_a_seed_gives_the_same_bytes() -> None:
    for subject in SUBJECTS.values():
        for number in range(50):
            once, again = ([make(case, subject[1]) for case in train(3, number, len(subject[1]))] for _ in range(2))
            assert once == again


@pytest.mark.parametrize(
    ("accept", "more"), [(b"*/*", ()), (b"application/x-ndjson", ("streams",))], ids=["whole", "parts"]
)
def test_whatever_a_worker_says_clients_get_an_answer(
    tmp_path: Path, serve: Serve, accept: bytes, more: tuple[str, ...]
) -> None:
    path = str(tmp_path / "w.sock")
    environment = {"TIFFIN_WORKER_SOCKET": path, "TIFFIN_WORKER_TOKEN": TOKEN}
    server = serve({"format": "python"}, arguments=["front"], environment=environment, serve=PATIENT)
    assert server.port
    with liar(path, 20260, LIES, *more) as worker:
        server.ready()
        counts = ask_until_good(server.port, worker, accept)
    assert counts[200]
    assert counts[500]
    assert server.process.poll() is None
    assert "Traceback" not in server.log
