"""Whole files through a model that is a function: what is kept, rejected, and taken up again."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.errors import ConflictError, UnavailableError
from tiffin.traffic import bulk
from tiffin.traffic.bulk import RowError


def ask(rows: Sequence[Any]) -> bytes:
    if any(row[0] < 0 for row in rows):
        raise RowError("negative")
    return json.dumps({"predictions": [row[0] * 2 for row in rows]}).encode()


def write(path: Path, values: Sequence[int]) -> Path:
    path.write_text("".join(f"[{value}]\n" for value in values))
    return path


def predictions(path: Path) -> list[int]:
    return [json.loads(line)["prediction"] for line in path.read_text().splitlines()]


@settings(max_examples=30)
@given(st.lists(st.integers(-3, 30), max_size=60), st.integers(1, 9))
def test_every_good_row_has_its_result_in_order_and_every_bad_one_its_reason(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("bulk")
    job = bulk.plan(write(folder / "in.jsonl", values), folder / "out.jsonl", batch=batch)
    done = bulk.run(job, {}, ask)
    assert predictions(job.target) == [value * 2 for value in values if value >= 0]
    bad = [place for place, value in enumerate(values, 1) if value < 0]
    apart = job.beside(".rejected.jsonl")
    assert [json.loads(line)["row"] for line in apart.read_text().splitlines()] == bad if bad else not apart.exists()
    assert (done.rows, done.rejected) == (len(values), len(bad))
    assert {path.name for path in folder.iterdir()} <= {"in.jsonl", "out.jsonl", "out.jsonl.rejected.jsonl"}


def test_a_run_that_broke_off_is_gone_on_with(tmp_path: Path) -> None:
    job = bulk.plan(write(tmp_path / "in.jsonl", range(100)), tmp_path / "out.jsonl", batch=5)
    asked: list[int] = []

    def fails_late(rows: Sequence[Any]) -> bytes:
        if rows[0][0] >= 60:
            raise UnavailableError("gone")
        return ask(rows)

    def counts(rows: Sequence[Any]) -> bytes:
        asked.extend(row[0] for row in rows)
        return ask(rows)

    with pytest.raises(UnavailableError):
        bulk.run(job, {}, fails_late)
    assert not job.target.exists()
    with job.beside(".partial").open("ab") as file:
        file.write(b"what was not certain")
    assert bulk.run(job, {}, counts).rows == 100
    assert predictions(job.target) == [value * 2 for value in range(100)]
    assert sorted(asked) == list(range(60, 100))


def test_another_input_begins_again(tmp_path: Path) -> None:
    job = bulk.plan(write(tmp_path / "in.jsonl", [1, 2]), tmp_path / "out.jsonl")
    job.beside(".progress").write_text(json.dumps({"source": [1, 1], "rows": 2, "kept_bytes": 99}))
    assert bulk.run(job, {}, ask).rows == 2
    assert predictions(job.target) == [2, 4]


def test_an_output_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious")
    with pytest.raises(ConflictError):
        bulk.plan(write(tmp_path / "in.jsonl", [1]), tmp_path / "out.jsonl")


def die(folder: Path, after: int) -> None:
    left = [after]

    def dies(rows: Sequence[Any]) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return ask(rows)

    bulk.run(bulk.plan(folder / "in.jsonl", folder / "out.jsonl", batch=3), {}, dies)


@pytest.mark.parametrize("after", [0, 1, 4, 7, 20])
def test_a_killed_run_loses_nothing_and_repeats_nothing(tmp_path: Path, after: int) -> None:
    values = [value if value % 10 else -1 for value in range(100)]
    write(tmp_path / "in.jsonl", values)
    process = multiprocessing.get_context("spawn").Process(target=die, args=(tmp_path, after))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    job = bulk.plan(tmp_path / "in.jsonl", tmp_path / "out.jsonl", batch=3)
    bulk.run(job, {}, ask)
    assert predictions(job.target) == [value * 2 for value in values if value >= 0]
    assert len(job.beside(".rejected.jsonl").read_text().splitlines()) == 10
