"""A plan is carried out in order, once, and no further than the first step that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tiffin.errors import CommandError, DeniedError, TiffinError, UnavailableError
from tiffin.oci.digest import Digest
from tiffin.progress import Event, Finished, listening
from tiffin.release.plan import Gate, LeftOut, PlannedStep, ReleasePlan
from tiffin.release.result import Case, Release, State
from tiffin.release.run import Report, Standing, run
from tiffin.store.records import Records

IMAGE = Digest.of(b"image")
PLAN = ReleasePlan(
    name="iris",
    steps=(
        PlannedStep(name="build", does="build"),
        PlannedStep(name="test", does="test", remembered=True, settings={"engine": "a"}),
        PlannedStep(name="push", does="push"),
        PlannedStep(name="deploy-staging", does="deploy", gate=Gate()),
    ),
    left=(LeftOut(name="sign", why="no key"),),
)


class Heard:
    """Acts that write down that they were asked, and may fail."""

    def __init__(self, **fails: Report | TiffinError) -> None:
        self.asked: list[str] = []
        self._fails = fails

    def acts(self) -> dict[str, Callable[[PlannedStep, Standing], Report]]:
        return dict.fromkeys(("build", "test", "push", "deploy"), self._act)

    def _act(self, step: PlannedStep, standing: Standing) -> Report:
        self.asked.append(step.name)
        assert step.name == "build" or standing.image == IMAGE
        failing = self._fails.get(step.name.partition("-")[0])
        if isinstance(failing, TiffinError):
            raise failing
        built = Report(message="built", image=IMAGE, reference=f"iris@{IMAGE}")
        return failing or (built if step.name == "build" else Report(message="done", cases=(Case(name="one"),)))


@pytest.fixture
def ledger(tmp_path: Path) -> Records:
    return Records(tmp_path)


def carried_out(heard: Heard, ledger: Records, plan: ReleasePlan = PLAN) -> tuple[Release, TiffinError | None]:
    return run(plan, heard.acts(), ledger, "tiffin release")


def states(release: Release) -> list[State]:
    return [step.state for step in release.steps]


def test_every_step_is_done_and_what_is_left_out_is_told(ledger: Records) -> None:
    release, error = carried_out(Heard(), ledger)
    assert error is None
    assert states(release) == [State.DONE] * 4 + [State.LEFT_OUT]
    assert (release.image, release.reference, release.command) == (IMAGE, f"iris@{IMAGE}", "")
    assert release.ended_well


def test_what_is_remembered_of_an_image_is_not_done_again_and_its_cases_are_told_again(ledger: Records) -> None:
    carried_out(Heard(), ledger)
    heard = Heard()
    release, _ = carried_out(heard, ledger)
    assert heard.asked == ["build", "push", "deploy-staging"]
    assert release.steps[1].state is State.ALREADY
    assert release.steps[1].cases == (Case(name="one"),)


def test_other_settings_are_not_remembered(ledger: Records) -> None:
    carried_out(Heard(), ledger)
    first, second, *rest = PLAN.steps
    changed = PlannedStep(name=second.name, does=second.does, remembered=True, settings={"engine": "b"})
    heard = Heard()
    carried_out(heard, ledger, ReleasePlan(name="iris", steps=(first, changed, *rest)))
    assert "test" in heard.asked


@pytest.mark.parametrize(
    "failing", [Report(wrong="it is wrong", hint="mend it"), CommandError("it is wrong", "mend it")]
)
def test_the_first_that_fails_ends_it_with_the_command_to_go_on(ledger: Records, failing: Report | TiffinError) -> None:
    heard = Heard(test=failing)
    release, error = carried_out(heard, ledger)
    assert heard.asked == ["build", "test"]
    assert states(release)[:4] == [State.DONE, State.FAILED, State.NOT_REACHED, State.NOT_REACHED]
    assert isinstance(error, CommandError)
    assert error.message == "the release of iris stopped at test: it is wrong"
    assert error.hint == "mend it; then `tiffin release` goes on from there"
    assert not release.ended_well
    carried_out(heard := Heard(), ledger)
    assert "test" in heard.asked, "a failure is not remembered"


def test_an_error_stays_of_its_kind(ledger: Records) -> None:
    _, error = carried_out(Heard(push=UnavailableError("nobody answers")), ledger)
    assert isinstance(error, UnavailableError)
    assert error.temporary


def test_a_step_that_waits_says_who_may_let_it_go_on(ledger: Records) -> None:
    release, error = carried_out(Heard(deploy=Report(waits=True)), ledger)
    assert isinstance(error, DeniedError)
    assert release.steps[3].state is State.WAITING
    assert "`tiffin release --approve staging` goes on" in str(error.hint)


def test_a_damaged_ledger_costs_time_and_nothing_else(ledger: Records, tmp_path: Path) -> None:
    carried_out(Heard(), ledger)
    for file in tmp_path.glob("?" * 64):
        file.write_text("{")
    carried_out(heard := Heard(), ledger)
    assert "test" in heard.asked


def finished(heard: Heard, ledger: Records) -> dict[str, Finished]:
    """What whoever listens hears of each step's end."""
    events: list[Event] = []
    with listening(events.append):
        carried_out(heard, ledger)
    return {event.name: event for event in events if isinstance(event, Finished)}


def test_every_step_is_worth_a_line_and_one_that_is_remembered_says_what_was_found(ledger: Records) -> None:
    carried_out(Heard(), ledger)
    told = finished(Heard(), ledger)
    assert all(event.always for event in told.values())
    assert (told["test"].detail, told["test"].cached) == ("done", True)


def test_a_step_that_finds_something_wrong_is_told_as_failed_and_one_that_waits_is_not(ledger: Records) -> None:
    wrong = finished(Heard(test=Report(wrong="it is wrong")), ledger)["test"]
    assert (wrong.detail, wrong.failed) == ("test", True)
    waits = finished(Heard(deploy=Report(message="waits", waits=True)), ledger)["deploy-staging"]
    assert (waits.detail, waits.failed) == ("waits", False)
