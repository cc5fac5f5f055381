"""A front with a table of revisions: who answers, and what the table can be changed to."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest

from tiffin_serve.front.log import Writer
from tiffin_serve.front.revision import Outfit, Revision
from tiffin_serve.front.sockets import hall_at
from tiffin_serve.protocol.service import read
from unit.tiffin_serve.fronts import DEADLINE, hello, wait_for
from unit.tiffin_serve.routed import Place, kill

SAID = "TIFFIN_WORKER_TOKEN"


@pytest.fixture
def two(place: Place) -> Place:
    """Two revisions with a worker each."""
    place.revision(3, weight=75)
    place.revision(4, weight=25)
    place.begin()
    place.work(3)
    place.work(4)
    return place.ready(3, 4)


def test_requests_are_shared_by_weight_and_the_same_id_has_the_same_revision(two: Place) -> None:
    ids = [f"request-{number}" for number in range(200)]
    answers = {name: two.ask(x_request_id=name) for name in ids}
    found = Counter(answer.says for answer in answers.values())
    assert 25 < found[4] < 80
    assert all(answer.headers["tiffin-revision"] == str(answer.says) for answer in answers.values())
    two.table["revisions"]["3"]["weight"], two.table["revisions"]["4"]["weight"] = 40, 60
    assert two.tell().status == 200
    moved = {(answers[name].says, two.ask(x_request_id=name).says) for name in ids}
    assert moved == {(3, 3), (3, 4), (4, 4)}
    assert {two.ask().says for _ in range(40)} == {3, 4}


def test_a_header_chooses_a_revision_and_one_that_is_not_there_is_not_found(two: Place) -> None:
    assert {two.ask(tiffin_revision="4").says for _ in range(10)} == {4}
    refused = two.ask(tiffin_revision="7")
    assert (refused.status, refused.body) == (404, {"error": "there is no revision '7' of iris; there is 3, 4"})
    assert two.ask("GET", "/v2/models/iris").body["versions"] == ["3"]
    assert two.ask("GET", "/v2/models/iris", tiffin_revision="4").body["versions"] == ["4"]
    assert two.ask("GET", "/v2/health/ready").status == 200


def test_a_table_tells_how_it_goes(two: Place) -> None:
    for _ in range(5):
        assert two.ask(tiffin_revision="4").says == 4
    assert two.ask(tiffin_revision="4", body=b"nonsense").status == 400
    told = two.admin("GET", "/table").body
    assert (told["service"], told["waiting"], told["pid"]) == ("iris", 0, two.front.pid if two.front else 0)
    four = told["revisions"]["4"]
    assert (four["state"], four["weight"], list(four["ready"])) == ("open", 25, ["one-4"])
    assert (four["requests"], four["errors"], four["in_flight"], four["waiting"]) == (6, 0, 0, 0)
    assert 0 < four["seconds"] < 60
    assert told["revisions"]["3"]["requests"] == 0


def test_a_table_that_cannot_be_used_changes_nothing(two: Place) -> None:
    two.table["revisions"]["4"]["weight"] = -1
    refused = two.tell()
    assert refused.status == 400
    assert "table.json: Expected `float` >= 0.0 - at `$.revisions[...].weight`" in refused.body["error"]
    two.table["revisions"]["4"]["weight"] = 25
    two.table["revisions"]["5"] = {"folder": "5", "token": "x"}
    refused = two.tell()
    assert (refused.status, "5/service.json" in refused.body["error"]) == (400, True)
    two.table["revisions"] = {}
    assert two.tell().status == 400
    assert two.admin("GET", "/table").body["revisions"].keys() == {"3", "4"}
    assert two.ask(tiffin_revision="4").says == 4


def test_a_closing_revision_finishes_and_is_told_as_closed(two: Place) -> None:
    two.table["revisions"]["3"]["state"] = "closing"
    assert two.tell().body["revisions"]["3"]["state"] == "closed"
    assert {two.ask().says for _ in range(20)} == {4}
    assert two.ask(tiffin_revision="3").status == 404
    del two.table["revisions"]["3"]
    assert two.tell().body["revisions"].keys() == {"4"}
    assert "tiffin-revision" not in two.ask().headers
    assert not (two.folder / "3" / "hall" / "worker.sock").exists()


def test_a_revision_that_comes_back_is_counted_anew(two: Place) -> None:
    assert two.ask(tiffin_revision="4").says == 4
    four = two.table["revisions"]["4"]
    for state, requests in (("open", 1), ("closing", 1), ("open", 0)):
        four["state"] = state
        assert two.tell().status == 200
        assert two.said(4)["requests"] == requests
    assert two.ask(tiffin_revision="4").says == 4
    assert two.said(4)["requests"] == 1


def test_a_chosen_revision_without_a_worker_is_passed_over(place: Place) -> None:
    place.revision(3, weight=50)
    place.revision(4, weight=50)
    place.begin()
    worker = place.work(3)
    place.ready(3)
    assert {place.ask().says for _ in range(20)} == {3}
    place.work(4)
    place.ready(4)
    assert {place.ask().says for _ in range(40)} == {3, 4}
    kill(worker)
    wait_for(lambda: not place.said(3)["ready"], "gone")
    assert {place.ask().says for _ in range(20)} == {4}


def test_a_revision_that_comes_later_has_a_hall_and_a_token_of_its_own(two: Place) -> None:
    two.revision(5, weight=100)
    assert two.tell().status == 200
    stranger = two.work(5, **{SAID: "secret 4"})
    assert stranger.wait(30) != 0
    assert two.said(5)["failures"] == {"one-5": "the token is wrong"}
    two.work(5)
    two.ready(5)
    assert two.ask(tiffin_revision="5").says == 5


def test_a_revision_under_the_same_number_may_be_another(two: Place) -> None:
    two.table["revisions"]["4"] |= {"token": "another"}
    assert two.tell().status == 200
    wait_for(lambda: not two.said(4)["ready"], "the old one's workers are gone")
    two.work(4, **{SAID: "another"})
    two.ready(4)
    assert two.ask(tiffin_revision="4").says == 4


def test_each_revision_has_limits_of_its_own(place: Place) -> None:
    place.revision(3, max_body_bytes=1000)
    place.revision(4, max_body_bytes=100_000, weight=0)
    place.begin()
    place.work(3)
    place.work(4)
    place.ready(3, 4)
    body = [1] * 1000
    refused = place.ask(body=body)
    assert (refused.status, refused.body) == (413, {"error": "the body is larger than 1000 bytes"})
    assert place.ask(body=body, tiffin_revision="4").says == 4


def test_each_revision_has_tokens_pages_and_a_log_of_its_own(place: Place) -> None:
    (place.folder / "tokens").write_text("a-long-secret\n")
    place.revision(3, auth="bearer", cors=["https://a.example"], access_log=True)
    place.revision(4, weight=0)
    place.table["revisions"]["3"]["bearer"] = "tokens"
    place.begin()
    place.work(3)
    place.work(4)
    place.ready(3, 4)
    assert place.ask().status == 401
    answer = place.ask(authorization="Bearer a-long-secret", origin="https://a.example")
    assert (answer.says, answer.headers["access-control-allow-origin"]) == (3, "https://a.example")
    answer = place.ask(tiffin_revision="4", origin="https://a.example")
    assert (answer.says, "access-control-allow-origin" in answer.headers) == (4, False)
    wait_for(lambda: place.log.count('"message":"request"') == 2, "logged")
    assert place.log.count('"revision":"3"') == 2


def test_a_front_that_is_killed_is_started_again_with_the_same_table(two: Place) -> None:
    assert two.front is not None
    port, before = two.port, two.ask(x_request_id="one").says
    kill(two.front)
    two.begin(port).ready(3, 4)
    assert two.ask(x_request_id="one").says == before


def test_a_worker_that_says_hello_to_a_revision_that_is_gone_is_hung_up_on_so_that_it_comes_to_its_next(
    two: Place,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as late:
        late.settimeout(DEADLINE)
        late.connect(str(two.folder / "3" / "hall" / "worker.sock"))
        assert two.ask().status == 200  # a turn of the loop: it is let in
        entry = two.table["revisions"].pop("3")
        assert two.tell().status == 200
        late.sendall(hello(entry["token"], forks="nest"))
        while late.recv(4096):
            pass


def test_a_revision_that_goes_before_it_listens_lets_in_nobody(place: Place) -> None:
    place.revision(3)
    outfit = Outfit(service=read(place.folder / "3" / "service.json"), token=place.table["revisions"]["3"]["token"])

    async def go() -> None:
        revision = Revision(outfit, asyncio.get_running_loop(), Writer(), lambda *_: None)
        hall = hall_at(place.folder / "3" / "hall" / "worker.sock")
        revision.close()
        await revision.listen(hall)
        await asyncio.sleep(0)
        assert hall.fileno() < 0

    asyncio.run(go())
