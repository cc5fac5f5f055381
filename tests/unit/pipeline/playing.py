"""Plays a schedule without doing anything: what ends next, how, and what it gives is what the player says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.running.schedule import LeftOut, Options, Ready, Schedule
from tiffin.pipeline.running.spots import State

Gives = Callable[[Ready], Mapping[str, Any] | State]


class Player:
    """A run of a graph: `begun` in order, `states` of all that ended, and `taken`, what each task was given."""

    def __init__(
        self,
        graph: Graph,
        gives: Gives | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        options: Options | None = None,
    ) -> None:
        self.schedule = Schedule(graph, arguments or {}, options)
        self.gives = gives or (lambda _: {"out": 1.0})
        self.running: dict[str, Ready] = {}
        self.begun: list[str] = []
        self.regardless: set[str] = set()
        self.states: dict[str, State] = {}
        self.why: dict[str, str] = {}
        self.taken: dict[str, dict[str, Any]] = {}
        self.most_at_once = 0

    def begin(self) -> Player:
        """Have all begin that may."""
        while ready := self.schedule.begin():
            assert ready.name not in self.begun
            self.running[ready.name] = ready
            self.begun.append(ready.name)
            self.regardless |= {ready.name} if ready.regardless else set()
            self.taken[ready.name] = {**ready.values, **ready.artifacts}
        self.most_at_once = max(self.most_at_once, len(self.running))
        for each in self.schedule.left_out():
            self._leave(each)
        return self

    def _leave(self, each: LeftOut) -> None:
        assert each.name not in self.states
        assert each.name not in self.begun
        self.states[each.name], self.why[each.name] = each.state, each.why

    def end(self, name: str) -> Player:
        """Have one end as `gives` says, and all begin that may by that."""
        ready = self.running.pop(name)
        given = self.gives(ready)
        state, outputs = (given, {}) if isinstance(given, State) else (State.SUCCEEDED, given)
        self.states[name] = state
        self.schedule.end(name, state, outputs, why="" if outputs else "exit code 1")
        return self.begin()

    def play(self, pick: Callable[[list[str]], str] = lambda names: names[0]) -> Player:
        """Go on to the end; `pick` says which of those that run ends next."""
        self.begin()
        while self.running:
            self.end(pick(list(self.running)))
        assert self.schedule.over
        return self


def failing(*names: str) -> Gives:
    """These fail, by task or by instance."""

    def gives(ready: Ready) -> Mapping[str, Any] | State:
        return State.FAILED if ready.name in names or ready.task.name in names else {"out": 1.0}

    return gives
