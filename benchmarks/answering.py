"""Waiting for a container's first answers."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.programs.service import answers, predict

from .command import Command
from .dialect import Dialect
from .project import ROWS, Answers

STEP_SECONDS = 0.002
ANSWER_SECONDS = 120
"""No service takes longer to answer."""


@dataclass(frozen=True)
class First:
    """Seconds from the first command's start until the service was live, and until it predicted correctly."""

    live: float
    correct: float


def first_answers(commands: Sequence[Command], address: str, dialect: Dialect, expected: Answers) -> First:
    """Start what makes a service and time its first answers; raises AssertionError when it never answers so."""
    assert not answers(address, dialect.live), f"something else already answers on {address}"
    began = time.perf_counter()
    *before, last = commands
    for command in before:
        command.run()
    process = last.start()
    while not answers(address, dialect.live):
        _go_on(last, began, process.poll())
    live = time.perf_counter() - began
    while not _correct(address, dialect, expected):
        _go_on(last, began, process.poll())
    correct = time.perf_counter() - began
    last.finish(process)
    return First(live, correct)


def _go_on(command: Command, began: float, status: int | None) -> None:
    assert not status, f"`{' '.join(command.argv)}` exited with {status}"
    assert time.perf_counter() - began < ANSWER_SECONDS, (
        f"`{' '.join(command.argv)}` gave no service that answers as the model"
    )
    time.sleep(STEP_SECONDS)


def _correct(address: str, dialect: Dialect, expected: Answers) -> bool:
    with suppress(AssertionError, OSError, http.client.HTTPException, json.JSONDecodeError):
        return expected.equal(predict(address, dialect.body(ROWS), dialect.predict))
    return False
