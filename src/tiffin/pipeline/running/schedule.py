"""What may begin now: a graph, its arguments, and what has ended so far.

A schedule is told what ended and says what may begin, what is left out and why, and when all has ended; it reads no
clock and touches nothing. Each node is looked at when the body that it stands in opens, and once more when the last of
what it needs has ended: a whole run costs as much as there are nodes and references, in whatever order things end.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from tiffin.errors import ConfigError, TiffinError
from tiffin.pipeline.graph import Branch, ForEach, Graph, Group, Node, Port, Step, Task, When
from tiffin.pipeline.meaning.condition import holds
from tiffin.pipeline.meaning.outline import Outline, instance
from tiffin.pipeline.meaning.sources import named, worded
from tiffin.pipeline.meaning.values import noun, typed
from tiffin.pipeline.running.spots import GOING, At, HinderedError, Spot, Spots, State, badness

_ALL = frozenset(State) - {State.UNKNOWN}


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A task that may begin, with all that it takes: typed values, and artifacts as whoever ended tasks gave them.

    `name` is unique within a run: `train`, or `train[1,2]` in loops. It is done `regardless` of how all else ended, or
    stands in what is.
    """

    name: str
    task: Task
    step: Step
    values: dict[str, Any]
    artifacts: dict[str, tuple[Any, ...]]
    regardless: bool = False


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What ended without having begun: a task, or a branch or loop about which no one can say what is to be done."""

    name: str
    state: State
    why: str
    hint: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is left out beside what the graph says: all but the `wanted` tasks, and what would begin after a failure."""

    wanted: frozenset[str] | None = None
    fail_fast: bool = False


class Schedule:
    """One run of a graph, as far as it has come."""

    def __init__(self, graph: Graph, arguments: Mapping[str, Any], options: Options | None = None) -> None:
        """Begin with what needs nothing; `arguments` are complete (`tiffin.pipeline.meaning.check.check_arguments`)."""
        self.outline = Outline(graph)
        self._graph, self._options = graph, options or Options()
        self._spots = Spots(self.outline, arguments)
        self._followers: dict[tuple[str, At], list[Spot]] = {}
        self._due: deque[Spot] = deque()
        self._ready: dict[int, list[tuple[int, At, Spot, Ready]]] = {}  # by how many GPUs they ask for
        self._running: dict[str, Spot] = {}
        self._left_out: list[LeftOut] = []
        self._first_failure = self._stopped = ""
        self._root = Spot(graph.name, None, (), None)
        self._open(self._root, graph.body)
        self._settle()

    @property
    def over(self) -> bool:
        """Say whether everything has ended."""
        return self._root.state not in GOING

    @property
    def state(self) -> State:
        """How the whole of it ended, or that it has not."""
        return self._root.state

    def begin(self, has: Callable[[int], bool] = lambda _gpus: True) -> Ready | None:
        """The next task that may begin, which counts as running from now on; None until something else has ended.

        `has` says whether there are so many GPUs free: a task for which there are not waits, and others go before it.
        Raises ConfigError where nothing ever will: tasks wait for each other.
        """
        while ready_ones := self._first(has):
            _, _, spot, ready = heapq.heappop(ready_ones)
            if hindered := self._too_late(spot):
                self._leave(spot, hindered)
                self._settle()
                continue
            spot.state = State.RUNNING
            self._running[ready.name] = spot
            return ready
        if not self._running and not self.over:
            raise self._knot()
        return None

    def _first(self, has: Callable[[int], bool]) -> list[tuple[int, At, Spot, Ready]] | None:
        """Of those that may begin the ones that ask for as many GPUs as the first for which there are enough."""
        enough = (some for gpus, some in self._ready.items() if some and has(gpus))
        return min(enough, key=lambda some: some[0][:2], default=None)

    def end(self, name: str, state: State, outputs: Mapping[str, Any] | None = None, why: str = "") -> None:
        """Say how a task that was begun has ended, and what it gave: values, and artifacts as they are handed on."""
        spot = self._running.pop(name)
        spot.outputs = outputs or {}
        self._end(spot, state, why)
        self._settle()

    def stop(self, why: str) -> None:
        """Let nothing begin any more but what is done regardless, when what it comes after has ended."""
        self._stopped = why

    def left_out(self) -> list[LeftOut]:
        """What has been left out since this was asked last."""
        left_out, self._left_out = self._left_out, []
        return left_out

    def outputs(self) -> dict[str, Any]:
        """What the pipeline gives when all of it has ended, without what has not been made or has no such part."""
        found = {}
        for name, source in self._graph.outputs.items() if self.over else ():
            try:
                found[name] = self._spots.value(source, (), ())
            except (HinderedError, ConfigError):
                continue
        return found

    # Bodies open, and what stands in them comes to be due.

    def _open(self, around: Spot, body: tuple[Node, ...]) -> None:
        around.left = len(body)
        for node in body:
            spot = self._stand(node, around)
            for need in self.outline.needs(node):
                if not self._spots.ended(need.name, at := spot.at[: need.depth]):
                    spot.waiting += 1
                    self._followers.setdefault((need.name, at), []).append(spot)
            if not spot.waiting:
                self._due.append(spot)
        if not body:
            self._end(around, State.SUCCEEDED)

    def _stand(self, node: Node | Branch, around: Spot) -> Spot:
        spot = Spot(node.name, node, around.at, around, self.outline.sites[node.name].order)
        self._spots.add(spot)
        return spot

    def _settle(self) -> None:
        while self._due:
            spot = self._due.popleft()
            try:
                self._go(spot)
            except HinderedError as hindered:
                self._leave(spot, hindered)
            except TiffinError as error:
                self._leave(spot, HinderedError(State.FAILED, f"{_where(spot)}{error.message}"), error.hint or "")

    def _go(self, spot: Spot) -> None:
        node = spot.node
        if isinstance(node, Task):
            self._take(spot, node)
            return
        if self._stopped and not spot.regardless:
            raise HinderedError(State.STOPPED, self._stopped)
        if isinstance(node, When | ForEach | Group):
            self._after(spot, node.after, regardless=node.regardless)
        if isinstance(node, When):
            self._choose(spot, node)
        elif isinstance(node, ForEach):
            self._repeat(spot, node)
        elif isinstance(node, Group):
            self._open(spot, node.body)

    # What each kind of node does when it is due.

    def _take(self, spot: Spot, task: Task) -> None:
        """Have a task ready with all that it takes."""
        wanted = self._options.wanted
        if wanted is not None and task.name not in wanted:
            raise HinderedError(State.SKIPPED, "it was not asked for")
        if hindered := self._too_late(spot):
            raise hindered
        self._after(spot, task.after, regardless=task.regardless)
        step = self._graph.steps[task.step]
        values: dict[str, Any] = {}
        artifacts: dict[str, tuple[Any, ...]] = {}
        for name, port in step.inputs.items():
            for given in self._given(spot, task, name, port):
                if port.is_parameter:
                    values[name] = typed(given, port.type, f"the parameter {name} of {spot.label}")
                else:
                    artifacts[name] = _artifacts(given, port, f"the input {name} of {spot.label}")
        ready = Ready(
            name=spot.label, task=task, step=step, values=values, artifacts=artifacts, regardless=spot.regardless
        )
        heapq.heappush(self._ready.setdefault(step.resources.gpus, []), (spot.order, spot.at, spot, ready))

    def _given(self, spot: Spot, task: Task, name: str, port: Port) -> list[Any]:
        """What comes in by a port: one thing, or nothing where that is allowed."""
        if name in task.inputs:
            try:
                return [self._spots.value(task.inputs[name], spot.at, self._loops(spot))]
            except HinderedError as hindered:
                allowed = _ALL if task.regardless else (State.SKIPPED,)
                if hindered.state not in allowed or not (port.optional or port.default is not None):
                    raise
        if port.default is None and not port.optional:
            raise ConfigError(f"{spot.label} is not given its {name}", f"call it with `{name}=…`")
        return [] if port.default is None else [port.default]

    def _choose(self, spot: Spot, when: When) -> None:
        """Open the first branch whose condition holds, and leave the others."""
        taken: Branch | None = None
        refused: list[str] = []
        for branch in when.branches:
            if branch.condition is None or self._holds(spot, branch):
                taken = branch
                break
            refused.append(f"{worded(branch.condition)} does not hold")
        for index, branch in enumerate(when.branches):
            if branch is not taken:
                why = (
                    refused[index] if index < len(refused) else f"{taken.name if taken else when.name} was done instead"
                )
                self._leave(self._aside(branch, spot), HinderedError(State.SKIPPED, why))
        if taken is None:
            self._end(spot, State.SUCCEEDED)
            return
        spot.left = 1
        self._open(self._stand(taken, spot), taken.body)

    def _holds(self, spot: Spot, branch: Branch) -> bool:
        assert branch.condition is not None  # noqa: S101 - the caller asked
        return holds(branch.condition, lambda source: self._spots.value(source, spot.at, self._loops(spot)))

    def _aside(self, branch: Branch, around: Spot) -> Spot:
        """A branch that is not taken: nothing around it waits for its end."""
        spot = self._stand(branch, around)
        spot.parent = None
        return spot

    def _repeat(self, spot: Spot, loop: ForEach) -> None:
        """Open as many rounds as may be at once."""
        items = self._spots.value(loop.items, spot.at, self._loops(spot))
        if not isinstance(items, list | tuple):
            raise ConfigError(f"{loop.name} goes over {named(loop.items)}, which is {noun(items)}", "give it a list")
        spot.items, spot.left = list(items), len(items)
        if not items or not loop.body:
            self._end(spot, State.SUCCEEDED)
            return
        for _ in range(min(loop.parallel or len(items), len(items))):
            self._next_round(spot, loop)

    def _next_round(self, spot: Spot, loop: ForEach) -> None:
        spot.opened += 1
        around = Spot(loop.name, None, (*spot.at, spot.opened - 1), spot, spot.order)
        self._open(around, loop.body)

    def _loops(self, spot: Spot) -> tuple[str, ...]:
        return self.outline.sites[spot.name].loops

    # What keeps it from being done.

    def _after(self, spot: Spot, names: tuple[str, ...], *, regardless: bool = False) -> None:
        """Raise what the worst of those that it comes after means to it."""
        reached = (each for name in names for each in self._spots.reached(name, spot.at, self._loops(spot)))
        hindering = [each for each in reached if each.state not in (_ALL if regardless else (State.SUCCEEDED,))]
        if hindering:
            raise max(hindering, key=lambda each: badness(each.state)).hinders()

    def _too_late(self, spot: Spot) -> HinderedError | None:
        if self._stopped and not spot.regardless:
            return HinderedError(State.STOPPED, self._stopped)
        if self._options.fail_fast and self._first_failure and not spot.regardless:
            why = f"{self._first_failure} failed, and nothing more was to begin by then"
            return HinderedError(State.BLOCKED, why, self._first_failure)
        return None

    def _knot(self) -> ConfigError:
        """Say what waits without anything being done."""
        waiting = {spot.label for followers in self._followers.values() for spot in followers}
        return ConfigError(
            f"{self._graph.name} cannot go on: {', '.join(sorted(waiting)[:5])} wait for each other",
            "have none of them need what comes after it",
        )

    # Ends.

    def _leave(self, spot: Spot, hindered: HinderedError, hint: str = "") -> None:
        """End what never began, and all that stands in it."""
        failed = hindered.state is State.FAILED
        if failed or isinstance(spot.node, Task):
            self._tell_left_out(spot.label, hindered, hint)
        if not isinstance(spot.node, Task):
            inner = HinderedError(State.BLOCKED, f"{spot.label} failed", spot.label) if failed else hindered
            self._leave_within(spot, inner)
        spot.cause = hindered.cause
        self._end(spot, hindered.state, hindered.why)

    def _leave_within(self, spot: Spot, hindered: HinderedError) -> None:
        """Of a loop without rounds each task is told of once, and has no spot: what refers to it comes to the loop."""
        loops = self._loops(spot)
        for node in _all_within(spot.node):
            site = self.outline.sites[node.name]
            if isinstance(node, Task):
                self._tell_left_out(instance(node.name, spot.at), hindered)
            if site.loops == loops:
                inner = Spot(node.name, node, spot.at, None, site.order)
                inner.cause = hindered.cause
                self._spots.add(inner)
                self._end(inner, hindered.state, hindered.why)

    def _tell_left_out(self, name: str, hindered: HinderedError, hint: str = "") -> None:
        self._left_out.append(LeftOut(name=name, state=hindered.state, why=hindered.why, hint=hint))

    def _end(self, spot: Spot, state: State, why: str = "") -> None:
        """Have something ended, and with it whatever waited for it or ends by it."""
        while True:
            spot.state, spot.why = state, why
            if state is State.FAILED and not self._first_failure:
                self._first_failure = spot.label
            for follower in self._followers.pop((spot.name, spot.at), ()):
                follower.waiting -= 1
                if not follower.waiting:
                    self._due.append(follower)
            if spot.parent is None or not self._last_of(spot.parent, spot):
                return
            spot = spot.parent
            state, why = _together(spot)

    def _last_of(self, around: Spot, ended: Spot) -> bool:
        """Count something as ended, have a loop go on, and say whether all in there has ended."""
        around.tell(ended)
        if isinstance(around.node, ForEach) and around.opened < len(around.items or ()):
            self._next_round(around, around.node)
        return not around.left


def _where(spot: Spot) -> str:
    """The line that says what cannot be done."""
    place = spot.node.place if isinstance(spot.node, Task | When | ForEach | Group) else None
    return f"{place}: " if place and place.file else ""


def _together(around: Spot) -> tuple[State, str]:
    """How that ended in which things stand, by the worst of them."""
    worst = around.worst
    if worst is None:
        return State.SUCCEEDED, ""
    failed = worst.state in (State.FAILED, State.BLOCKED)
    around.cause = worst.cause or (worst.label if failed else "")
    return worst.state, f"{worst.label}: {worst.why}" if isinstance(worst.node, Task) else worst.why


def _all_within(node: Node | Branch | None) -> Iterator[Node | Branch]:
    """Everything that stands in something, however deep."""
    if isinstance(node, When):
        for branch in node.branches:
            yield branch
            yield from _all_within(branch)
    elif isinstance(node, Branch | ForEach | Group):
        for inner in node.body:
            yield inner
            yield from _all_within(inner)


def _artifacts(given: Any, port: Port, what: str) -> tuple[Any, ...]:
    """One artifact or many, those of loops within loops one after another."""
    several = tuple(_flat(given)) if isinstance(given, list | tuple) else (given,)
    if not port.many and (len(several) != 1 or isinstance(given, list | tuple)):
        raise ConfigError(f"{what} is {len(several)} artifacts, and it takes one", f"write `list[{port.type}]` there")
    return several


def _flat(given: Any) -> Iterator[Any]:
    if isinstance(given, list | tuple):
        for each in given:
            yield from _flat(each)
    else:
        yield given
