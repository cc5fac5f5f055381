"""Requests for which nobody is there wait at the front: so many, so long, and for whoever is ready first."""

from __future__ import annotations

import signal
import socket

from tiffin_serve.front.routing.router import AT_ONCE
from unit.tiffin_serve.fronts import DEADLINE, wait_for
from unit.tiffin_serve.routed import Place, kill, read_answer


def waiting(place: Place) -> int:
    return int(place.admin("GET", "/table").body["waiting"])


def parked(place: Place, **headers: str) -> socket.socket:
    """Ask, and see to it that the request waits at the front."""
    before = waiting(place)
    client = place.connect(**headers)
    wait_for(lambda: waiting(place) == before + 1, "one more waits")
    return client


def test_a_request_waits_for_the_first_worker(place: Place) -> None:
    place.revision(3)
    place.begin()
    with parked(place) as client:
        told = place.said(3)
        assert (told["in_flight"], told["waiting"], told["ready"], told["requests"]) == (1, 1, {}, 0)
        assert place.ask("GET", "/v2/health/live").status == 200
        place.work(3)
        assert read_answer(client).says == 3
    assert waiting(place) == 0
    assert place.said(3)["requests"] == 1


def test_it_is_answered_by_whoever_is_ready_first_unless_it_asks_for_one(place: Place) -> None:
    place.revision(3, weight=50)
    place.revision(4, weight=50)
    place.begin()
    with parked(place, tiffin_revision="4") as chosen:
        clients = [parked(place) for _ in range(8)]
        place.work(3)
        assert {read_answer(client).says for client in clients} == {3}
        assert waiting(place) == 1
        place.work(4)
        assert read_answer(chosen).says == 4
    for client in clients:
        client.close()


def test_many_who_wait_for_another_are_in_nobodys_way(place: Place) -> None:
    place.revision(3)
    place.revision(4, weight=0)
    place.begin()
    chosen = [place.connect(tiffin_revision="4") for _ in range(2 * AT_ONCE)]
    wait_for(lambda: waiting(place) == len(chosen), "they wait")
    with parked(place) as client:
        place.work(3)
        assert read_answer(client).says == 3
    place.work(4)
    assert {read_answer(client).says for client in chosen} == {4}
    for client in chosen:
        client.close()


def test_who_waits_too_long_is_told_so(place: Place) -> None:
    place.revision(3, deadline_ms=400)
    place.begin()
    late = place.ask(inference_timeout="50")
    assert (late.status, late.body) == (504, {"error": "there was no answer within 0.05 seconds"})
    late = place.ask()
    assert (late.status, late.body) == (504, {"error": "there was no answer within 0.4 seconds"})
    assert place.ask(inference_timeout="soon").status == 400
    assert waiting(place) == 0


def test_so_many_may_wait_as_the_service_says(place: Place) -> None:
    place.revision(3, queue=2)
    place.begin()
    clients = [parked(place), parked(place)]
    refused = place.ask()
    assert (refused.status, refused.body) == (503, {"error": "too many requests wait already"})
    assert int(refused.headers["retry-after"]) >= 1
    for client in clients:
        client.close()
    wait_for(lambda: waiting(place) == 0, "who has gone does not wait")
    assert place.said(3)["in_flight"] == 0


def test_who_has_no_token_does_not_wait(place: Place) -> None:
    (place.folder / "tokens").write_text("a-long-secret\n")
    place.revision(3, auth="bearer")
    place.table["bearer"] = "tokens"
    place.begin()
    assert place.ask().status == 401
    parked(place, authorization="Bearer a-long-secret").close()


def test_a_front_that_stops_sends_away_who_still_waits(place: Place) -> None:
    place.revision(3)
    place.begin()
    with parked(place) as client:
        assert place.front is not None
        place.front.send_signal(signal.SIGTERM)
        answer = read_answer(client)
        assert (answer.status, answer.body) == (503, {"error": "the server is stopping"})
    assert place.front.wait(DEADLINE) == 0


def test_without_wakes_clients_wait_outside_for_the_first_worker(place: Place) -> None:
    place.revision(3)
    place.table["wakes"] = False
    place.begin()
    with place.connect() as client:
        assert waiting(place) == 0
        place.work(3)
        assert read_answer(client).says == 3


def test_what_waits_for_a_revision_that_is_dropped_goes_elsewhere(place: Place) -> None:
    place.revision(3)
    place.begin()
    with parked(place) as client:
        place.revision(4)
        del place.table["revisions"]["3"]
        assert place.tell().body["revisions"]["4"]["waiting"] == 1
        place.work(4)
        assert read_answer(client).says == 4


def test_what_is_queued_goes_elsewhere_and_what_is_out_is_answered_when_a_revision_is_dropped(place: Place) -> None:
    place.busy_beside(0)
    with place.connect() as first:
        wait_for(lambda: place.said(3)["in_flight"] == 1 and not place.said(3)["waiting"], "out")
        clients = [place.connect() for _ in range(3)]
        wait_for(lambda: place.said(3)["waiting"] == 3, "queued")
        del place.table["revisions"]["3"]
        place.table["revisions"]["4"]["weight"] = 100
        assert place.tell().status == 200
        assert {read_answer(client).says for client in clients} == {4}
        (place.folder / "busy-3").unlink()
        assert read_answer(first).says == 3
    for client in clients:
        client.close()


def test_what_is_queued_goes_elsewhere_when_the_last_worker_is_lost(place: Place) -> None:
    worker = place.busy_beside(1e-6)
    clients = [place.connect() for _ in range(3)]
    wait_for(lambda: place.said(3)["in_flight"] == 3, "there")
    kill(worker)
    assert {read_answer(client).says for client in clients} == {4}
    for client in clients:
        client.close()


def test_a_closing_revision_answers_what_it_has(place: Place) -> None:
    place.busy_beside(0)
    with place.connect() as client:
        wait_for(lambda: place.said(3)["in_flight"] == 1, "there")
        place.table["revisions"]["3"]["state"] = "closing"
        place.table["revisions"]["4"]["weight"] = 100
        assert place.tell().body["revisions"]["3"]["state"] == "closing"
        assert place.ask().says == 4
        (place.folder / "busy-3").unlink()
        assert read_answer(client).says == 3
    wait_for(lambda: place.said(3)["state"] == "closed", "closed")
