"""The corpus of bad input: nothing outside is touched, nothing hangs, and the error says what and where.

Precedents are named at the cases. Each runs in a process of its own (`corpus/sandbox.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiffin.errors
from corpus.case import Case
from corpus.tables import TABLES

TESTS = Path(__file__).parent.parent
MORE_MEMORY = 448 << 20
"""Bytes that reading a hostile file may take beside what the interpreter and its packages have."""
CASES = {table: list(cases()) for table, cases in TABLES.items()}
OURS = {name for name, thing in vars(tiffin.errors).items() if isinstance(thing, type)}


def results(table: str) -> Iterator[dict[str, object]]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "corpus.sandbox", table],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        check=True,
    )
    return map(json.loads, done.stdout.splitlines())


@pytest.fixture(scope="module")
def ran() -> dict[str, dict[str, dict[str, object]]]:
    """What became of every case of the tables that were run so far."""
    return {}


@pytest.mark.parametrize(
    ("table", "case"), [pytest.param(t, c, id=f"{t}: {c.name}") for t, cases in CASES.items() for c in cases]
)
def test_bad_input_is_refused_by_name_and_reaches_nothing(
    table: str, case: Case, ran: dict[str, dict[str, dict[str, object]]]
) -> None:
    if table not in ran:
        ran[table] = {str(result["case"]): result for result in results(table)}
    result = ran[table][case.name]
    assert result["ended"] == "whole", result
    assert result["changed"] == [], result
    least = min(int(str(other["memory"])) for other in ran[table].values())
    assert int(str(result["memory"])) <= least + MORE_MEMORY, result
    if case.contained and not result["error"]:
        return
    assert result["error"] in OURS, result
    for words in case.says:
        assert words in str(result["message"]), result


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    names = [(table, case.name) for table, cases in CASES.items() for case in cases]
    assert len(set(names)) == len(names) >= 300
