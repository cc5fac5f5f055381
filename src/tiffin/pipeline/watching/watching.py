"""Looks at schedule and data, over and over, and has a run done when one is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread

import msgspec

from tiffin.config.cron import said
from tiffin.errors import ConflictError, TiffinError
from tiffin.pipeline.running.runs import Run, Runs, RunState
from tiffin.pipeline.watching.remembered import Remembered
from tiffin.pipeline.watching.sights import Looks
from tiffin.pipeline.watching.triggers import Begun, Due, Reason, Triggers, Wait, due, ended, first, kept

_PAUSE = 1.0
"""Seconds between two looks at least,"""
_SHARE = 20
"""and so many times what a look takes: it has a twentieth of a processor."""
_LONGEST_PAUSE = 30.0
_AGAIN = 2.0
"""Seconds until a pipeline is tried again that somebody else runs."""
_LONGEST_AGAIN = 300.0
_FOLLOWED = 0.1
"""Seconds after which a run hears that the watcher is to stop."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline that can be run: the folder of its runs, and what runs it to its end.

    `run` tells the run's name when it begins, ends when the event comes (it may set it too), and
    raises ConflictError where somebody else runs the pipeline.
    """

    place: Path
    run: Callable[[Callable[[str], None], Event], Run]


class Watching:
    """A pipeline, what it is run for, and how far that has come."""

    def __init__(  # noqa: PLR0913 - clocks and ears are those of the process but in tests
        self,
        triggers: Triggers,
        sights: Mapping[str, Looks],
        remembered: Remembered,
        prepare: Callable[[], Prepared],
        says: Callable[[str], None],
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch for triggers; `prepare` raises a TiffinError where the pipeline cannot be run."""
        self._triggers, self._sights, self._remembered, self._prepare = triggers, sights, remembered, prepare
        self._says, self._wall, self._clock = says, wall, clock
        self._told: dict[str, str] = {}
        self._not_before, self._again = 0.0, _AGAIN
        self._begun = remembered.read() or self._write(first(triggers, wall()))

    def forever(self, stopped: Event, over: Callable[[Run], None]) -> None:
        """Go on until it is stopped; `over` hears of each run that ended."""
        self._tell_next()
        while not stopped.is_set():
            began = self._clock()
            reason = self.look()
            self._tell(reason)
            if isinstance(reason, Due) and self._clock() >= self._not_before and (ran := self._try(reason, stopped)):
                over(ran)
                self._tell_next()
                continue
            stopped.wait(self._pause(self._clock() - began))

    def once(self, stopped: Event) -> Run | None:
        """Run the pipeline if that is due, when its data is still; raises what keeps it from being known or begun."""
        while not stopped.is_set():
            reason = self.look()
            self._tell(reason)
            if isinstance(reason, Due):
                return self._run(reason, stopped)
            if not isinstance(reason, Wait):
                problems = [sight.problem for sight in self._sights.values() if sight.problem]
                if problems:
                    raise problems[0]
                return None
            stopped.wait(min(reason.seconds, _PAUSE))
        return None

    def look(self) -> Reason | None:
        """Say whether a run is due now."""
        now = self._wall()
        if (begun := kept(self._triggers, self._begun, now)) != self._begun:
            self._write(begun)
        data = {name: sight.look() for name, sight in self._sights.items()}
        return due(self._triggers, self._begun, now, data, self._ran())

    def _ran(self) -> RunState | None:
        """How the latest run went that came after what is remembered was written."""
        begun = self._begun
        if begun.over or not begun.place:
            return None
        last = Runs(Path(begun.place)).last()
        return last.state if last and last.id > begun.after else None

    def _try(self, reason: Due, stopped: Event) -> Run | None:
        """Run the pipeline, later where it cannot begin now."""
        try:
            self._refuse_second()
            ran = self._run(reason, stopped)
        except TiffinError as error:
            is_run = isinstance(error, ConflictError)
            self._not_before = self._clock() + (_AGAIN if is_run else self._again)
            self._again = _AGAIN if is_run else min(self._again * 2, _LONGEST_AGAIN)
            self._say("begin", f"waits: {error.message}" if is_run else f"cannot begin: {error.message}", error.hint)
            return None
        self._again = _AGAIN
        self._told.pop("begin", None)
        return ran

    def _refuse_second(self) -> None:
        """Raise ConflictError, before much is done, where the pipeline is being run; its lock says so too, later."""
        last = Runs(Path(self._begun.place)).last() if self._begun.place else None
        if last and last.state is RunState.RUNNING:
            raise ConflictError(f"{last.pipeline} is being run already: run {last.id}, by process {last.pid}")

    def _run(self, reason: Due, stopped: Event) -> Run:
        """Remember what a run is for, have it done, and remember how that went."""
        before, prepared = self._begun, self._prepare()
        ids = Runs(prepared.place).ids()
        self._write(msgspec.structs.replace(reason.begun, place=str(prepared.place), after=ids[-1] if ids else ""))
        try:
            with self._following(stopped) as mine:
                ran = prepared.run(lambda run: self._says(f"run {run} begins: {reason.why}"), mine)
        except ConflictError:
            self._write(before)
            raise
        finally:
            if (begun := ended(self._begun, self._ran())) != self._begun:
                self._write(begun)
        return ran

    @contextmanager
    def _following(self, stopped: Event) -> Iterator[Event]:
        """An event that comes when another one does, and may be set for itself: that ends a run, and no watcher."""
        mine, over = Event(), Event()

        def follow() -> None:
            while not over.is_set():
                if stopped.wait(_FOLLOWED):
                    mine.set()
                    self._says("the run is being stopped")
                    return

        thread = Thread(target=copy_context().run, args=(follow,))
        thread.start()
        try:
            yield mine
        finally:
            over.set()
            thread.join()

    def _write(self, begun: Begun) -> Begun:
        self._begun = begun
        self._remembered.write(begun)
        return begun

    def _pause(self, took: float) -> float:
        """Seconds until the next look: what is asked of a disk is little, and a schedule is not missed."""
        if self._sights or self._not_before > self._clock():
            return max(_PAUSE, _SHARE * took)
        then = self._triggers.schedule.next(self._wall(), self._triggers.zone) if self._triggers.schedule else 0.0
        return min(max(then - self._wall(), _PAUSE), _LONGEST_PAUSE)

    def _tell(self, reason: Reason | None) -> None:
        """Say what has changed of what keeps a run from being begun."""
        for name, sight in self._sights.items():
            if sight.problem:
                self._say(name, f"cannot look at {name}: {sight.problem.message}", sight.problem.hint)
            elif self._told.pop(name, ""):
                self._says(f"{name} can be looked at again")
        if isinstance(reason, Wait):
            self._say("wait", f"{reason.name} is being written")
        else:
            self._told.pop("wait", None)

    def _say(self, topic: str, line: str, hint: str | None = None) -> None:
        """Say a line that was not the last one of its topic."""
        if self._told.get(topic) != line:
            self._told[topic] = line
            self._says(f"{line}; {hint}" if hint else line)

    def _tell_next(self) -> None:
        if self._triggers.schedule:
            then = self._triggers.schedule.next(self._wall(), self._triggers.zone)
            self._says(f"the next run is due at {said(then, self._triggers.zone)}")
