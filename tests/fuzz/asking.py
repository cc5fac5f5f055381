"""Clients of a front whose worker lies: whatever it says, each gets an answer that can be read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from fuzz import played
from fuzz.client import PRIVATE, Answer, document_of, is_error, read_answer
from unit.tiffin_serve.fronts import SRC

CLIENTS = 12
PATIENCE = 60.0
ALLOWED = {200, 400, 500, 503, 504}


@contextlib.contextmanager
def liar(path: str, seed: int, count: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a worker that lies so many times and is good then."""
    command = [sys.executable, str(Path(played.__file__)), path, str(seed), str(count), *more]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def ask_until_good(port: int, process: subprocess.Popen[bytes], accept: bytes = b"*/*") -> Counter[int]:
    """Ask until the worker has become good, and once more then; returns how often there was each status."""
    return uvloop.run(_ask_all(port, process, accept))


async def _ask_all(port: int, process: subprocess.Popen[bytes], accept: bytes) -> Counter[int]:
    assert process.stdout is not None
    good, counts = asyncio.Event(), Counter[int]()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.stdout, good.set)
    await asyncio.gather(*[_ask(port, number, good, counts, accept) for number in range(CLIENTS)])
    loop.remove_reader(process.stdout)
    assert process.stdout.readline() == b"good\n", "the worker was killed"
    assert process.poll() is None
    assert await _ask(port, CLIENTS, good, Counter(), b"*/*") == 200, "a good worker gives no answers"
    return counts


async def _ask(port: int, number: int, good: asyncio.Event, counts: Counter[int], accept: bytes) -> int:
    """Ask one by one over one connection; returns the last status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    buffer, asked = bytearray(), 0
    while True:
        last = good.is_set()
        asked += 1
        body = b"[%d,%d]" % (number, asked)
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d-%d\r\nAccept: %b\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (number, asked, accept, len(body)) + body)
        while (answer := read_answer(buffer, head=False)) is None:
            data = await asyncio.wait_for(reader.read(2**20), PATIENCE)
            assert data, "the connection ended without an answer"
            buffer += data
        _look(answer, b"%d-%d" % (number, asked))
        counts[answer.status] += 1
        if last:
            writer.close()
            assert (
                accept != b"*/*"
                or answer.status != 200
                or document_of(answer) == {"predictions": [2 * number, 2 * asked]}
            )
            return answer.status


def _look(answer: Answer, name: bytes) -> None:
    assert answer.status in ALLOWED, answer
    assert answer.headers[b"x-request-id"] == name
    assert not PRIVATE.search(answer.body), answer
    document: Any = document_of(answer)
    if answer.headers[b"content-type"] == b"application/x-ndjson":
        assert b"internal error" not in answer.body, answer
        for line in answer.body.splitlines():
            msgspec.json.decode(line)
    if answer.status != 200:
        assert is_error(document), answer
        assert document["error"] != "internal error", answer
