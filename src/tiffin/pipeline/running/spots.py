"""What everything in a run has come to, and what that gives to what needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import Argument, Branch, Constant, FirstOf, Item, Node, Output, Part, Source, Status, Text
from tiffin.pipeline.meaning.outline import Outline, instance
from tiffin.pipeline.meaning.sources import named
from tiffin.pipeline.meaning.values import noun, shown

At = tuple[int, ...]
"""In which round of each loop around it something is."""


class State(StrEnum):
    """How far a task, or what is around tasks, has come."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """A condition does not hold, or what it takes was skipped."""
    BLOCKED = "blocked"
    """What it needs failed."""
    STOPPED = "stopped"
    """The run was stopped before it ended."""
    UNKNOWN = "unknown"
    """In a plan: it depends on what is still to be done."""


GOING = (State.WAITING, State.RUNNING)
_FROM_GOOD_TO_BAD = (State.SUCCEEDED, State.SKIPPED, State.UNKNOWN, State.STOPPED, State.BLOCKED, State.FAILED)
_SAID = {
    State.SKIPPED: "was skipped",
    State.STOPPED: "was stopped",
    State.UNKNOWN: "is to be done",
}
_STATUS = {
    State.FAILED: "FAILED",
    State.BLOCKED: "FAILED",
    State.STOPPED: "CANCELLED",
}


def badness(state: State) -> int:
    """How bad it is for what is around it that something ended so; what was skipped is as good as what was done."""
    return 0 if state is State.SKIPPED else _FROM_GOOD_TO_BAD.index(state)


class HinderedError(Exception):
    """What something needs is not there: the state that it has by that, why, and what failed first."""

    def __init__(self, state: State, why: str, cause: str = "") -> None:
        super().__init__(why)
        self.state, self.why, self.cause = state, why, cause


class Spot:
    """A node in one round of the loops around it; a round of a loop is one as well, and so is the whole run."""

    def __init__(self, name: str, node: Node | Branch | None, at: At, parent: Spot | None, order: int = 0) -> None:
        self.name, self.node, self.at, self.parent, self.order = name, node, at, parent, order
        self.state, self.why, self.cause = State.WAITING, "", ""
        own = node is not None and not isinstance(node, Branch) and node.regardless
        self.regardless: bool = own or (parent is not None and parent.regardless)
        """Whether it, or what it stands in, is done however what is before that ended."""
        self.waiting = 0
        """How many of its needs have not ended."""
        self.left = 0
        """How many of what stands in it have not ended."""
        self.worst: Spot | None = None
        """Which of them ended worst; of several the first that was written."""
        self.items: list[Any] | None = None
        self.opened = 0
        self.outputs: Mapping[str, Any] = {}

    @property
    def label(self) -> str:
        """What it is called: `train[2]`."""
        return instance(self.name, self.at)

    def hinders(self) -> HinderedError:
        """What it means to what needs it that it did not succeed."""
        if self.state in (State.FAILED, State.BLOCKED):
            cause = self.cause or self.label
            return HinderedError(State.BLOCKED, f"{cause} failed", cause)
        return HinderedError(self.state, f"{self.label} {_SAID[self.state]}", self.cause)

    def tell(self, child: Spot) -> None:
        """Count something that stands in it as ended."""
        self.left -= 1
        if badness(child.state) and (self.worst is None or _rank(child) < _rank(self.worst)):
            self.worst = child


def _rank(spot: Spot) -> tuple[int, int, At]:
    return -badness(spot.state), spot.order, spot.at


class Spots:
    """Every spot of a run that has come to stand, by name and round."""

    def __init__(self, outline: Outline, arguments: Mapping[str, Any]) -> None:
        self._outline, self._arguments = outline, arguments
        self._spots: dict[tuple[str, At], Spot] = {}

    def add(self, spot: Spot) -> None:
        """Have a spot stand under its name and round."""
        self._spots[spot.name, spot.at] = spot

    def ended(self, name: str, at: At) -> bool:
        """Say whether something has come to stand there and has ended."""
        spot = self._spots.get((name, at))
        return spot is not None and spot.state not in GOING

    def reached(self, name: str, at: At, loops: tuple[str, ...]) -> Iterator[Spot]:
        """All spots of a name that one who stands in these loops, in these rounds, refers to."""
        depth = self._outline.shared(name, loops)
        return self._within(name, self._outline.sites[name].loops[depth:], at[:depth])

    def _within(self, name: str, loops: tuple[str, ...], at: At) -> Iterator[Spot]:
        """Every round of every further loop; of one that never began its rounds, the loop itself."""
        if not loops:
            yield self._spots[name, at]
            return
        loop = self._spots[loops[0], at]
        if loop.items is None:
            yield loop
            return
        for index in range(len(loop.items)):
            yield from self._within(name, loops[1:], (*at, index))

    def value(self, source: Source, at: At, loops: tuple[str, ...]) -> Any:
        """What a source gives to one who stands there.

        Raises HinderedError where it gives nothing, and ConfigError where what is asked for cannot be.
        """
        if isinstance(source, Constant):
            return source.value
        if isinstance(source, Output):
            return self._output(source, at, loops)
        if isinstance(source, Argument):
            return self._argument(source)
        if isinstance(source, Item):
            depth = loops.index(source.loop)
            return (self._spots[source.loop, at[:depth]].items or ())[at[depth]]
        return self._composed(source, at, loops)

    def _composed(self, source: Status | Part | FirstOf | Text, at: At, loops: tuple[str, ...]) -> Any:
        if isinstance(source, Status):
            return self._status(source, at, loops)
        if isinstance(source, Part):
            return _part(source, self.value(source.of, at, loops))
        if isinstance(source, FirstOf):
            return self._first(source, at, loops)
        return "".join(each if isinstance(each, str) else shown(self.value(each, at, loops)) for each in source.pieces)

    def _argument(self, source: Argument) -> Any:
        if source.name not in self._arguments:
            raise HinderedError(State.SKIPPED, f"the pipeline's {source.name} is not given")
        return self._arguments[source.name]

    def _output(self, source: Output, at: At, loops: tuple[str, ...]) -> Any:
        depth = self._outline.shared(source.task, loops)
        return self._collected(source, self._outline.sites[source.task].loops[depth:], at[:depth])

    def _collected(self, source: Output, loops: tuple[str, ...], at: At) -> Any:
        """The output itself, or the list of what the rounds of a loop give: those that were skipped are not in it."""
        if not loops:
            return _output_of(self._spots[source.task, at], source.name)
        loop = self._spots[loops[0], at]
        if loop.items is None:
            raise loop.hinders()
        collected = []
        for index in range(len(loop.items)):
            try:
                collected.append(self._collected(source, loops[1:], (*at, index)))
            except HinderedError as hindered:
                if hindered.state is not State.SKIPPED:
                    raise
        return collected

    def _first(self, source: FirstOf, at: At, loops: tuple[str, ...]) -> Any:
        """The first that is there; one that failed hinders, since it would have been it."""
        skipped: HinderedError | None = None
        for each in source.sources:
            try:
                return self.value(each, at, loops)
            except HinderedError as hindered:
                if hindered.state is not State.SKIPPED:
                    raise
                skipped = hindered
        raise HinderedError(State.SKIPPED, f"none of {named(source)} is there") from skipped

    def _status(self, source: Status, at: At, loops: tuple[str, ...]) -> dict[str, Any]:
        spots = list(self.reached(source.of, at, loops))
        worst = min(spots, key=_rank, default=None)
        if worst is None:
            return {"state": "SUCCEEDED", "error": ""}
        if worst.state is State.UNKNOWN:
            raise worst.hinders()
        skipped = all(spot.state is State.SKIPPED for spot in spots)
        return {"state": _STATUS.get(worst.state, "SKIPPED" if skipped else "SUCCEEDED"), "error": worst.why}


def _output_of(spot: Spot, name: str) -> Any:
    if spot.state is not State.SUCCEEDED:
        raise spot.hinders()
    if name not in spot.outputs:
        raise HinderedError(State.SKIPPED, f"{spot.label} gave no {name}")
    return spot.outputs[name]


def _read(source: Part, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"{named(source.of)} is no JSON: {shown(text)[:60]!r}"
        raise ConfigError(message, "have the step give a dict or a list, or its text") from error


def _part(source: Part, whole: Any) -> Any:
    """Go down a path into dicts and lists; a text is the JSON that it has."""
    found = _read(source, whole) if isinstance(whole, str) else whole
    for step in source.path:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            raise ConfigError(
                f"{named(source)} is not there: {named(source.of)} is {noun(whole)}, {shown(whole)[:60]}",
                "have the step give it, or ask for what is there",
            ) from None
    return found
