"""Workers that are lost within a replica that lives: counted once, with the reason."""

from __future__ import annotations

import os

from tiffin.deploy.local.casualties import Casualties, killed_for_memory
from tiffin.deploy.local.table import Lane, Told


def told(pid: int = 7, **restarts: int) -> Told:
    return Told(pid=pid, revisions={"1": Lane(restarts=restarts)})


def test_only_what_is_new_is_told_and_of_another_front_nothing() -> None:
    casualties = Casualties()
    assert list(casualties.since(told(crash=3), [], [])) == []
    assert list(casualties.since(told(crash=4, deadline=1), [], [])) == [(1, "crash", 1), (1, "deadline", 1)]
    assert list(casualties.since(told(crash=4, deadline=1), [], [])) == []
    assert list(casualties.since(told(pid=8, crash=1), [], [])) == []
    assert list(casualties.since(told(pid=8, crash=3), [], [])) == [(1, "crash", 2)]


def test_a_worker_that_goes_with_its_replica_has_not_crashed() -> None:
    casualties = Casualties()
    list(casualties.since(told(crash=0), [], []))
    assert list(casualties.since(told(crash=1, deadline=1), [], [1])) == [(1, "deadline", 1)]
    assert list(casualties.since(told(crash=2), [], [])) == [], "it may have gone just before the look"
    assert list(casualties.since(told(crash=3), [], [2])) == [(1, "crash", 1)]


def test_where_nothing_can_be_seen_nobody_was_killed() -> None:
    assert killed_for_memory(0) == 0
    assert killed_for_memory(os.getpid()) >= 0
