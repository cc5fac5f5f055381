"""What is measured, one function a figure; each leaves its service gone."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from tests.programs.client import Client

from benchmarks.ports import free_port
from benchmarks.results import Results
from benchmarks.tiffin import tiffin
from tiffin.deploy.service import Replicas
from tiffin.traffic.load import measure
from tiffin.traffic.schedule import Load

from . import words
from .ground import Ground, address, alone_pss, ask, computed, pss, question, wait

CONNECTIONS = 16
SECONDS = 5.0
HALF = 0.5
LIVED = 11.0
"""Seconds after which a replica that ends has lived, and is replaced without a pause."""
IDLE = 1.0
"""Seconds without a request after which the last replica goes."""
SLEEPERS = 10
REST_SECONDS = 60.0


def rates(ground: Ground, results: Results, model: str) -> None:
    """One replica, then two, asked as much as they answer; then at half of it, beside a container without a service."""
    port = ground.service(model, Replicas(least=1, most=1))
    for who, count in ((words.ONE, 1), (words.TWO, 2)):
        ground.target.scale(model, count, count)
        wait(partial(_ready, ground, model, count))
        results.add(words.RATE.format(model), who, _rate(port, model))
        _at_half(port, model, results, who)
    ground.target.delete(model)
    with ground.alone(model) as port:
        wait(lambda: _answers(port, model))
        results.add(words.RATE.format(model), words.ALONE, _rate(port, model))
        _at_half(port, model, results, words.ALONE)


def _ready(ground: Ground, name: str, count: int) -> bool:
    status = ground.target.status(name)
    return status.ready == status.wanted == count


def _rate(port: int, model: str) -> float:
    found = measure(address(port), question(model), Load(seconds=SECONDS, connections=CONNECTIONS), lambda _: True)
    assert not found.errors, found.errors
    return found.answered / found.seconds


def _at_half(port: int, model: str, results: Results, who: str) -> None:
    rate = HALF * results.median(words.RATE.format(model), who)
    for what, even in ((words.P99, True), (words.RANDOM, False)):
        load = Load(seconds=2 * SECONDS, connections=CONNECTIONS, rate=rate, even=even)
        found = measure(address(port), question(model), load, lambda _: True)
        assert not found.errors, found.errors
        results.add(what.format(model), who, 1000 * found.latencies.quantile(0.99))


def _answers(port: int, model: str) -> bool:
    with suppress(OSError, AssertionError):
        return ask(port, model) > 0
    return False


def replaced(ground: Ground, results: Results, rounds: int) -> None:
    """Kill the only replica; a request that is asked at once waits until there is another."""
    port = ground.service(words.TINY, Replicas(least=1, most=1))
    for _ in range(rounds):
        time.sleep(LIVED)
        ground.kill(words.TINY)
        results.add(words.REPLACED, words.TIFFIN, ask(port, words.TINY))
        wait(lambda: len(ground.replicas(words.TINY)) == 1)
        results.add(words.LOADED, words.TIFFIN, ground.load_seconds(words.TINY))
    ground.target.delete(words.TINY)


def restarted(ground: Ground, docker: Client, results: Results, rounds: int) -> None:
    """The same image by docker, which starts a container again whose program was killed."""
    archive, port = ground.home / "tiny.tar", free_port()
    tiffin(ground.home, "save", words.TINY, "--output", str(archive)).run()
    docker("load", "--input", str(archive))
    own = ("--network=host", "--env=TIFFIN_HOST=127.0.0.1", f"--env=TIFFIN_HTTP_PORT={port}")
    docker("run", "--detach", "--restart=always", *own, "--name", words.TINY, words.TINY)
    wait(lambda: _answers(port, words.TINY))
    for _ in range(rounds):
        time.sleep(LIVED)  # docker waits longer for one that did not live for ten seconds
        pid = int(docker("inspect", "--format", "{{.State.Pid}}", words.TINY))
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        wait(lambda: _answers(port, words.TINY))
        results.add(words.REPLACED, words.DOCKER, time.perf_counter() - began)
    docker.remove(words.TINY)


def woken(ground: Ground, results: Results, rounds: int, *, warm: bool) -> None:
    """Let the last replica go, or sleep, and ask."""
    name, what = ("warm", words.WARM) if warm else ("cold", words.COLD)
    port = ground.service(words.TINY, Replicas(least=0, most=1, idle_seconds=IDLE, warm=warm), name)
    for number in range(rounds):
        _asleep(ground, name, warm=warm)
        if warm and not number:
            (replica,) = ground.replicas(name)
            results.add(words.SLEEPING, words.TIFFIN, pss(replica.state().pid))
        results.add(what, words.TIFFIN, 1000 * ask(port, words.TINY))
        if not warm:
            results.add(words.COLD_LOAD, words.TIFFIN, 1000 * ground.load_seconds(name))
    ground.target.delete(name)


def _asleep(ground: Ground, name: str, *, warm: bool) -> None:
    """Wait until there is no replica that could answer at once."""
    wait(lambda: ground.target.status(name).wanted == 0)
    wait(lambda: ground.slumbers(name) if warm else not ground.replicas(name))


def lost(ground: Ground, results: Results, count: int) -> None:
    """Wake services that sleep so often, several at the same time, and count the requests that were not answered."""

    def wake(number: int) -> list[int]:
        name, warm = f"sleeper-{number}", bool(number % 2)
        port = ground.service(words.TINY, Replicas(least=0, most=1, idle_seconds=IDLE, warm=warm), name)
        missed = []
        for _ in range(count // SLEEPERS):
            _asleep(ground, name, warm=warm)
            missed.append(int(not _answers(port, words.TINY)))
        return missed

    with ThreadPoolExecutor(SLEEPERS) as threads:
        missed = [one for found in threads.map(wake, range(SLEEPERS)) for one in found]
    results.add(words.LOST, words.TIFFIN, sum(missed))
    results.add(words.WOKEN, words.TIFFIN, len(missed))
    for number in range(SLEEPERS):
        ground.target.delete(f"sleeper-{number}")


def rest(ground: Ground, results: Results, count: int) -> None:
    """Have services that nobody asks, and see what looking after them costs."""
    names = [f"rests-{number}" for number in range(count)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: ground.service(words.TINY, Replicas(least=1, most=1), name), names))
    time.sleep(REST_SECONDS / 2)  # what has just been done is not rest
    before = computed(ground.supervisor)
    time.sleep(REST_SECONDS)
    share = 100 * (computed(ground.supervisor) - before) / REST_SECONDS
    holders = [ground.holder(name) for name in names]
    results.add(words.CPU.format(count), words.TIFFIN, share)
    results.add(words.MEMORY.format(count), words.TIFFIN, alone_pss(ground.supervisor))
    alone = sum(alone_pss(pid) for pid in holders)
    results.add(words.HOLDERS.format(count), words.TIFFIN, alone)
    results.add(words.FRONTS.format(count), words.TIFFIN, pss(*holders) - alone)
    pids = [replica.state().pid for replica in ground.replicas()]
    results.add(words.REPLICAS.format(count), words.TIFFIN, pss(*pids))
    for name in names:
        ground.target.delete(name)
