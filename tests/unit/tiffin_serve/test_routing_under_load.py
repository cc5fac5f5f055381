"""Whatever the table is made to say, and whoever is killed meanwhile, no request fails."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random
from typing import Self

from unit.tiffin_serve.fronts import wait_for
from unit.tiffin_serve.routed import Place, kill

CLIENTS = 4
STEPS = 40


class Crowd:
    """Clients that ask again and again, with an id or without."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ended = threading.Event()
        self.answers: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        asked = 0
        while not self._ended.is_set():
            asked += 1
            headers = {"x_request_id": f"{number}-{asked}"} if asked % 2 else {}
            answer = self._place.ask(**headers)
            self.answers[str(answer.says) if answer.status == 200 else f"{answer.status} {answer.body}"] += 1


def test_no_request_fails_whatever_the_table_says(place: Place) -> None:
    chance = Random(40)  # noqa: S311 - the same steps each time
    for number in (3, 4, 5):
        place.revision(number)
    place.begin()
    for number, thread in ((3, ""), (4, "1"), (5, "")):
        place.work(number, **({"THREAD": thread} if thread else {}))
    place.ready(3, 4, 5)
    entries = dict(place.table["revisions"])
    with Crowd(place) as crowd:
        for _ in range(STEPS):
            kept = chance.sample(sorted(entries), chance.randint(1, 3))
            for number in kept:
                state = chance.choice(["open", "open", "closing", "asleep"])
                entries[number] |= {"state": state, "weight": chance.choice([0.0, 1.0, 10.0, 100.0])}
            entries[kept[0]] |= {"state": chance.choice(["open", "asleep"]), "weight": 5.0}
            place.table["revisions"] = {number: entries[number] for number in kept}
            assert place.tell().status == 200
            before = sum(crowd.answers.values())
            wait_for(lambda before=before: sum(crowd.answers.values()) > before + CLIENTS, "answers")  # type: ignore[misc]
    assert set(crowd.answers) <= {"3", "4", "5"}, crowd.answers
    for told in place.admin("GET", "/table").body["revisions"].values():
        assert (told["in_flight"], told["waiting"]) == (0, 0)


def test_no_request_fails_when_workers_are_killed(place: Place) -> None:
    for number in (3, 4):
        place.revision(number)
    place.begin()
    workers = {number: place.work(number) for number in (3, 4)}
    place.ready(3, 4)
    with Crowd(place) as crowd:
        for number in (3, 4, 3, 4):
            kill(workers[number])
            wait_for(lambda number=number: not place.said(number)["ready"], "gone")  # type: ignore[misc]
            before = sum(crowd.answers.values())
            wait_for(lambda before=before: sum(crowd.answers.values()) > before + CLIENTS, "answers")  # type: ignore[misc]
            workers[number] = place.work(number)
            place.ready(3, 4)
    assert set(crowd.answers) <= {"3", "4"}, crowd.answers
