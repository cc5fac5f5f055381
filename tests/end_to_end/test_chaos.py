"""A minute of what `make test-chaos` does for longer: everything happens to a service, and no request fails."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.load import Account, Failure, Times
from chaos.place import Place, prepare
from chaos.run import STEPS, Run, Told
from chaos.script import Kind, script
from chaos.told import summary
from end_to_end.small import Downloads

SEED = int(os.environ.get("TIFFIN_CHAOS_SEED", "5"))
RATE = 100.0


@pytest.fixture(scope="module")
def place(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(*prepare(downloads, tmp_path_factory.mktemp("chaos")))
    yield made
    made.end()


def test_the_same_seed_gives_the_same_script_in_which_everything_happens() -> None:
    first, again, other = (list(itertools.islice(script(seed), 2 * len(Kind))) for seed in (1, 1, 2))
    assert first == again != other
    assert {moment.kind for moment in first[: len(Kind)]} == set(Kind)


def test_only_what_was_in_flight_in_a_killed_front_may_fail() -> None:
    def failure(kind: str, sent: float, ended: float) -> Failure:
        return Failure(kind=kind, text="", request="c0-1", sent=sent, opened=0.5, ended=ended)

    died = failure("BrokenError", 0.9, 1.05)
    others = (failure("WrongError", 0.9, 1.05), failure("BrokenError", 2.0, 2.1), failure("BrokenError", 0.6, 0.7))
    account = Account(sent=9, answered=5, failed=4, failures=(died, *others))
    told = Told(seed=1, seconds=3.0, account=account, times=Times(), played=(), deaths=((1.0, 1.1),), given_up=0)
    assert told.unexplained() == list(others)
    assert not told.miscounted()


def test_a_minute_of_everything_fails_no_request(place: Place, tmp_path: Path) -> None:
    told = Run(place, SEED).play(tmp_path, rate=RATE, enough=lambda _sent, _seconds, moments: moments >= len(Kind))
    assert not told.miscounted(), told.account
    assert (told.account.refused, told.unexplained()) == (0, []), summary(told)


def test_supervisors_killed_at_some_steps_of_rollouts_change_nothing_in_the_end(place: Place) -> None:
    run = Run(place, SEED)
    for moment in itertools.islice(script(SEED), 4):
        run.roll_out_over(1 + int(moment.chance * STEPS))
