"""What `tiffin top` makes of two looks: rates, latencies and processors of what has been between them."""

from __future__ import annotations

import os
import subprocess
import sys
from math import inf

import msgspec
import pytest

from tiffin.api.services.top import Look, Used, between, quantile, rows
from tiffin.deploy.local.seen import Stage
from tiffin.deploy.local.watched import Watched, WatchedReplica, WatchedRevision
from tiffin.deploy.target import Phase
from tiffin.engine.embedded.usage import inhabitants, memory_of, processor_seconds

REPLICAS = (
    WatchedReplica(name="iris-3-a", revision=3, stage=Stage.READY, since=900.0, pid=11),
    WatchedReplica(name="iris-4-b", revision=4, stage=Stage.STARTING, since=995.0, pid=12),
)


def sight(requests: int, errors: int = 0, durations: tuple[tuple[float, int], ...] = (), p99: float = 0.0) -> Watched:
    revision = WatchedRevision(
        number=3, weight=100.0, replicas=1, ready=1, requests=requests, errors=errors, durations=durations, p99=p99
    )
    return Watched(
        name="iris",
        phase=Phase.PROGRESSING,
        wanted=1,
        front=10,
        created=400.0,
        waiting=2,
        in_flight=5,
        counts={"restarts": {"exit": 2, "memory": 1}},
        revisions=(revision,),
        replicas=REPLICAS,
    )


def look(at: float, *sights: Watched, **cpu: float) -> Look:
    used = {int(pid[1:]): Used(cpu_seconds=seconds, memory=1000, processes=2) for pid, seconds in cpu.items()}
    return Look(at=at, now=1000.0, sights=sights, used=used)


def test_rates_and_processors_are_of_the_time_between() -> None:
    before, after = look(5.0, sight(100, 3), p10=1.0, p11=4.0), look(7.0, sight(300, 13), p10=1.5, p11=7.0)
    (row,) = rows(before, after)
    assert (row.rate, row.errors, row.cpu, row.memory) == (100.0, 5.0, 175.0, 2000)
    assert (row.ready, row.wanted, row.starting, row.waiting, row.in_flight, row.restarts) == (1, 1, 1, 2, 5, 3)
    assert row.age == 600.0
    assert [(one.name, one.stage, one.cpu, one.age) for one in row.parts] == [
        ("front", "ready", 25.0, 0.0),
        ("iris-3-a", "ready", 150.0, 100.0),
        ("iris-4-b", "starting", None, 5.0),
    ]
    assert (row.revisions[0].rate, row.revisions[0].weight) == (100.0, 100.0)


def test_one_look_says_what_is_so_at_the_moment_and_no_rate() -> None:
    (row,) = rows(None, look(5.0, sight(100), p11=4.0))
    assert (row.rate, row.p99, row.cpu, row.memory) == (None, None, None, 1000)
    msgspec.json.encode(row)


def test_a_front_that_began_anew_counts_from_nothing() -> None:
    (row,) = rows(look(5.0, sight(1000, 10)), look(6.0, sight(50, 1)))
    assert (row.rate, row.errors) == (50.0, 1.0)
    assert between([[(0.1, 5), (0.2, 9)]], [[(0.1, 3)]]) == [(0.1, 3)]


def test_a_front_that_said_nothing_for_a_while_has_no_rate_then() -> None:
    silent = msgspec.structs.replace(sight(0), front=0)
    assert rows(look(5.0, silent), look(6.0, sight(1_000_000)))[0].rate is None
    assert rows(look(5.0, sight(1_000_000)), look(6.0, silent))[0].rate is None


def test_latencies_are_those_of_the_requests_between() -> None:
    slow, then = ((0.001, 5), (2.0, 100)), ((0.001, 95), (0.01, 9), (2.0, 101))
    (row,) = rows(look(5.0, sight(105, durations=slow)), look(6.0, sight(205, durations=then)))
    assert (row.p50, row.p99) == (0.001, 0.01)
    (idle,) = rows(look(5.0, sight(205, durations=then)), look(6.0, sight(205, durations=then)))
    assert (idle.rate, idle.p99) == (0.0, None)


def test_a_front_that_tells_no_durations_has_its_own_p99() -> None:
    (row,) = rows(look(5.0, sight(1)), look(6.0, sight(2, p99=0.3)))
    assert (row.p50, row.p99) == (None, 0.3)


@pytest.mark.parametrize(
    ("durations", "share", "bound"),
    [
        ([], 0.5, None),
        ([(0.1, 1)], 0.99, 0.1),
        ([(0.1, 99), (0.2, 1)], 0.99, 0.1),
        ([(0.1, 98), (0.2, 2)], 0.99, 0.2),
        ([(0.1, 1), (inf, 9)], 0.5, 0.1),
        ([(inf, 9)], 0.5, None),
    ],
)
def test_a_quantile_is_the_bound_of_its_bucket(
    durations: list[tuple[float, int]], share: float, bound: float | None
) -> None:
    assert quantile(durations, share) == bound


def test_processes_are_measured_and_those_of_this_namespace_are_not_a_containers() -> None:
    assert inhabitants([os.getpid(), 1 << 30]) == {}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        began = processor_seconds([busy.pid])
        while processor_seconds([busy.pid, 1 << 30]) <= began:
            assert busy.poll() is None
        assert memory_of([busy.pid]) > 100_000
    finally:
        busy.kill()
        busy.wait()
    assert (processor_seconds([busy.pid]), memory_of([busy.pid])) == (0.0, 0)
