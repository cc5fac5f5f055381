"""A watcher runs a real pipeline for a folder's data and a schedule: never twice, never not, whenever it is killed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC
from pathlib import Path
from threading import Event, Thread

import pytest

from tiffin.config.cron import Cron
from tiffin.errors import ConfigError, ConflictError, FullError, IntegrityError, NotFoundError
from tiffin.pipeline.keeping.content import Contents
from tiffin.pipeline.running.ledger import Event as Happened
from tiffin.pipeline.running.ledger import Planned, RunBegan, begun
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.running.runs import Run, RunState
from tiffin.pipeline.watching.remembered import Remembered
from tiffin.pipeline.watching.sights import Data
from tiffin.pipeline.watching.triggers import Begun, Triggers
from tiffin.pipeline.watching.watching import Prepared, Watching
from tiffin.store.records import Records
from unit.pipeline.graphs import FILE, argument, graph, output, step, task
from unit.pipeline.ran import Place

MADE = graph(
    task("split", rows=argument("rows")),
    task("fit", train=output("split")),
    steps=[
        step("split", inputs={"rows": FILE}, outputs={"out": FILE}),
        step("fit", inputs={"train": FILE}, outputs={"out": FILE}),
    ],
    rows=FILE,
)
NOON, DAY, DEADLINE = 1_795_348_800.0, 86400.0, 30.0


class PowerCutError(BaseException):
    """What nobody catches, as nobody would go on."""


class CutRemembered(Remembered):
    """What is remembered, by somebody whose power is cut before or after the n-th writing."""

    left = -1

    def write(self, begun: Begun) -> None:
        self.moment()
        super().write(begun)
        self.moment()

    def moment(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise PowerCutError


class Watched:
    """A pipeline of one file, `rows`, and a machine on which time goes by when a test says so."""

    def __init__(self, folder: Path, schedule: str = "") -> None:
        self.place, self.rows = Place(folder), folder / "rows"
        self.rows.write_text("1\n")
        self.contents = Contents(Records(folder / "known"))
        cron = Cron.parse(schedule) if schedule else None
        self.triggers = Triggers(schedule=cron, zone=UTC, watch=() if schedule else ("rows",))
        self.remembered = CutRemembered(folder / "triggers")
        self.lines: list[str] = []
        self.now, self.stopped = NOON, Event()
        self.refused: ConfigError | None = None
        self.heard: Callable[[Happened], None] = lambda _: None

    def watching(self) -> Watching:
        """One more process that watches."""
        return Watching(
            self.triggers,
            {name: Data(self.rows, self.contents, 0.0) for name in self.triggers.watch},
            self.remembered,
            self.prepared,
            self.lines.append,
            wall=lambda: self.now,
            clock=lambda: self.now,
        )

    def prepared(self) -> Prepared:
        if self.refused:
            raise self.refused
        return Prepared(place=self.place.folder, run=self._run)

    def _run(self, begins: Callable[[str], None], stopped: Event) -> Run:
        arguments = {"rows": str(self.rows)}

        def told(event: Happened) -> None:
            if isinstance(event, RunBegan):
                begins(event.run)
            self.heard(event)

        with begun(self.place.folder, Planned(graph=MADE), lambda: self.now, told) as ledger:
            return run_pipeline(MADE, arguments, self.place.means(), ledger, stopped=stopped)

    def once(self) -> Run | None:
        return self.watching().once(Event())

    def ids(self) -> list[str]:
        return self.place.runs.ids()

    def on(self, ran: Callable[[Run], None]) -> Thread:
        """Watch in a thread, until stopped."""
        thread = Thread(target=self.watching().forever, args=(self.stopped, ran), daemon=True)
        thread.start()
        return thread


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_new_data_is_run_for_once_and_the_same_bytes_again_are_not(watched: Watched) -> None:
    ran = watched.once()
    assert ran
    assert ran.state is RunState.SUCCEEDED
    assert watched.once() is None
    watched.rows.write_text("1\n")
    assert watched.once() is None
    watched.rows.write_text("1\n2\n")
    assert watched.once()
    assert watched.once() is None
    assert watched.lines == [
        f"run {watched.ids()[0]} begins: rows is new",
        f"run {watched.ids()[1]} begins: rows has changed",
    ]


def test_a_schedule_that_was_missed_is_caught_up_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "0 3 * * *")
    assert watched.once() is None
    watched.now += 5 * DAY
    assert watched.once()
    assert watched.once() is None
    assert len(watched.ids()) == 1


@pytest.mark.parametrize("moment", range(1, 8))
def test_a_watcher_that_is_killed_at_any_writing_begins_no_finished_run_twice_and_leaves_none_out(
    watched: Watched, moment: int
) -> None:
    watched.remembered.left = moment
    with pytest.raises(PowerCutError) if moment < 7 else nullcontext():
        watched.once()
    watched.remembered.left = -1
    watched.once()
    assert watched.once() is None
    succeeded = [run for run in watched.ids() if watched.place.runs.read(run).state is RunState.SUCCEEDED]
    assert len(succeeded) == 1
    assert len(watched.ids()) == 1


def test_a_run_that_is_killed_goes_on(watched: Watched) -> None:
    def cut(event: Happened) -> None:
        if getattr(event, "task", "") == "fit":
            raise PowerCutError

    watched.heard = cut
    with pytest.raises(PowerCutError):
        watched.once()
    _forget_end(watched)
    watched.heard = lambda _: None
    ran = watched.once()
    assert ran
    assert ran.state is RunState.SUCCEEDED
    assert ran.tasks["split"].cached
    assert watched.lines[-1] == f"run {ran.id} begins: the run before was killed"
    assert watched.once() is None


def _forget_end(watched: Watched) -> None:
    """Let the last run's ledger end where a killed process would have left it, and what it remembered of it too."""
    path = watched.place.folder / "runs" / watched.ids()[-1] / "ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "run-ended" not in line))
    remembered = watched.remembered.read()
    assert remembered
    watched.remembered.write(Begun(at=NOON, data=remembered.data, place=remembered.place))


def test_a_run_that_is_stopped_with_its_watcher_goes_on_with_the_next_one(watched: Watched) -> None:
    held = watched.place.bench.hold("fit")
    ran: list[Run] = []
    thread = watched.on(ran.append)
    held.reached()
    watched.stopped.set()
    thread.join(DEADLINE)
    assert [run.state for run in ran] == [RunState.STOPPED]
    held.open()
    watched.stopped.clear()
    again = watched.once()
    assert again
    assert again.state is RunState.SUCCEEDED
    assert again.tasks["split"].cached
    assert watched.lines[-1].endswith("the run before was stopped")


def test_data_that_changes_twice_while_a_run_goes_has_one_run_after_it(watched: Watched) -> None:
    held, ran = watched.place.bench.hold("fit"), list[Run]()

    def over(run: Run) -> None:
        ran.append(run)
        if len(ran) == 2:
            watched.stopped.set()

    thread = watched.on(over)
    held.reached()
    watched.rows.write_text("1\n2\n")
    watched.rows.write_text("1\n2\n3\n")
    held.open()
    thread.join(DEADLINE)
    assert len(watched.ids()) == 2
    assert ran[-1].state is RunState.SUCCEEDED
    assert watched.once() is None


def test_a_run_that_fails_ends_nothing_and_is_not_tried_again_with_the_same_data(watched: Watched) -> None:
    watched.place.bench.fail("fit", times=1)
    ran = watched.once()
    assert ran
    assert ran.state is RunState.FAILED
    assert watched.once() is None
    watched.rows.write_text("2\n")
    again = watched.once()
    assert again
    assert again.state is RunState.SUCCEEDED


def test_a_run_by_hand_is_waited_for(watched: Watched) -> None:
    watching = watched.watching()
    with begun(watched.place.folder, Planned(graph=MADE)), pytest.raises(ConflictError, match="being run already"):
        watching.once(Event())
    assert watched.once()
    assert len(watched.ids()) == 2
    assert watched.once() is None


@pytest.mark.parametrize("ran_before", [False, True])
def test_a_watcher_says_once_whom_it_waits_for_and_begins_after_it(watched: Watched, *, ran_before: bool) -> None:
    if ran_before:
        watched.once()
        watched.rows.write_text("2\n")
    watching, ran = watched.watching(), list[Run]()
    watched.lines.clear()
    with begun(watched.place.folder, Planned(graph=MADE), lambda: watched.now):
        watching.forever(_Paused(watched, 10), ran.append)
    assert [line.partition(": run")[0] for line in watched.lines] == ["waits: retrain is being run already"]
    assert not ran
    watching.forever(_Paused(watched, 10), ran.append)
    assert [run.state for run in ran] == [RunState.SUCCEEDED]


def test_a_pipeline_that_cannot_be_read_is_told_of_once_and_tried_again_later(watched: Watched) -> None:
    watched.refused = ConfigError("pipeline.py:3: no such step", "mend it")
    watching, ran = watched.watching(), list[Run]()
    paused = _Paused(watched, 6)
    watching.forever(paused, ran.append)
    assert watched.lines == ["cannot begin: pipeline.py:3: no such step; mend it"]
    watched.refused = None
    watching.forever(_Paused(watched, 400), ran.append)
    assert [run.state for run in ran] == [RunState.SUCCEEDED]


class _Paused(Event):
    """Seconds that go by at once, so many of them."""

    def __init__(self, watched: Watched, seconds: float) -> None:
        super().__init__()
        self._watched, self._until = watched, watched.now + seconds

    def is_set(self) -> bool:
        return self._watched.now >= self._until

    def wait(self, timeout: float | None = None) -> bool:
        if timeout and timeout < 1:  # a run follows it, while the watcher's time stands still
            return super().wait(timeout)
        self._watched.now += timeout or 0.0
        return self.is_set()


def test_a_schedule_is_kept_while_nothing_else_happens(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "0 3 * * *")
    ran: list[Run] = []
    watched.watching().forever(_Paused(watched, 3 * DAY), ran.append)
    assert len(ran) == 3
    assert watched.lines[0] == "the next run is due at 2026-11-23 03:00 +0000"


def test_data_that_is_not_there_is_told_of_once_and_refused_where_nobody_waits(watched: Watched) -> None:
    watched.rows.unlink()
    with pytest.raises(NotFoundError, match="rows is not there"):
        watched.once()
    watched.lines.clear()
    watched.watching().forever(_Paused(watched, 10), lambda _: None)
    assert len(watched.lines) == 1
    assert not watched.ids()


def test_a_run_that_breaks_off_does_not_end_the_watcher(watched: Watched) -> None:
    def full(event: Happened) -> None:
        if getattr(event, "task", "") == "fit":
            raise FullError("no room in /", "make room")

    watched.heard = full
    watched.watching().forever(_Paused(watched, 5), lambda _: None)
    assert "cannot begin: no room in /; make room" in watched.lines
    watched.heard = lambda _: None
    watched.rows.write_text("2\n")
    ran: list[Run] = []
    watched.watching().forever(_Paused(watched, 5), ran.append)
    assert [run.state for run in ran] == [RunState.SUCCEEDED]


def test_a_second_watcher_is_told_of_the_first(tmp_path: Path) -> None:
    with (
        Remembered(tmp_path).held("retrain"),
        pytest.raises(ConflictError, match=r"retrain is being watched already, by process \d+"),
        Remembered(tmp_path).held("retrain"),
    ):
        raise AssertionError("there are two")
    with Remembered(tmp_path).held("retrain"):
        assert Remembered(tmp_path).read() is None


def test_what_is_remembered_and_torn_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"watch\.json cannot be read") as told:
        Remembered(tmp_path).read()
    assert told.value.hint == f"delete it: `rm {tmp_path}/watch.json`"
