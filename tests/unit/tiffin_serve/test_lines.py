"""A worker that is heard in the midst of a turn of the loop, on both loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.workers.lines import Events, WorkerLine, Workers
from tiffin_serve.protocol.frames import VERSION, Hello
from tiffin_serve.protocol.service import Serving
from tiffin_serve.worker.frames import encode as encode_frame


def hello() -> bytes:
    signature = {"platform": "p", "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 1]}], "outputs": []}
    return encode_frame({"kind": "hello", "version": VERSION, "token": "t", "signature": signature})


def crew(arrived: list[Hello]) -> Workers:
    loop = asyncio.get_running_loop()
    events = Events(
        arrived=lambda _, hello: arrived.append(hello),
        lost=lambda _: ("crash", ""),
        ended=lambda *_: None,
        load_failed=lambda _: None,
        load=lambda: None,
        unload=lambda: True,
        changed=lambda: None,
    )
    return Workers("t", Dispatcher(loop, Serving(), Metrics("m")), events)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something is so."""
    while not condition():  # noqa: ASYNC110 - a turn of the loop is what is waited for
        await asyncio.sleep(0)


async def say_hello(path: str) -> None:
    """Be a worker whose hello is looked for, and then the end."""
    arrived: list[Hello] = []
    workers, lines, loop = crew(arrived), list[WorkerLine](), asyncio.get_running_loop()
    hall = await loop.create_unix_server(lambda: lines.append(WorkerLine(workers, loop)) or lines[-1], path)  # type: ignore[func-returns-value]  # the line just made
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as worker:
        worker.connect(path)
        await until(lambda: lines and lines[0].is_open)
        lines[0].look()
        assert not arrived
        worker.sendall(hello())
        lines[0].look()  # no turn of the loop lies between
        assert len(arrived) == 1
        lines[0].look()
        worker.shutdown(socket.SHUT_RDWR)
        lines[0].look()
        await until(lambda: not lines[0].is_open)
        assert len(arrived) == 1
    hall.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_a_worker_said_is_taken_within_the_turn_and_once(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    loop = new_loop()
    try:
        loop.run_until_complete(say_hello(str(tmp_path / "s")))
    finally:
        loop.close()
