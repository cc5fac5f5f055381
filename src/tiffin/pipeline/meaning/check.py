"""Refuses graphs that cannot be run, whoever wrote them: `pipeline.py`, or the compiler of Kubeflow.

What is refused has no meaning whatever the run gives: names that nothing has, inputs that nothing fills, values of
another type than what takes them, and tasks that wait for each other. Messages begin with file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Command,
    Condition,
    FirstOf,
    ForEach,
    Graph,
    IfGiven,
    Item,
    Joined,
    Node,
    Output,
    OutputPath,
    Part,
    Place,
    Port,
    Source,
    Status,
    Step,
    Task,
    Text,
    Value,
    When,
    Word,
)
from tiffin.pipeline.meaning.fitting import Kinds, misfit
from tiffin.pipeline.meaning.sources import references, sources_of, within
from tiffin.pipeline.meaning.values import typed, written


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """Where something with a name stands: itself, its line, and the names around it from the outermost."""

    node: Node | Branch
    place: Place
    around: tuple[str, ...]


def check(graph: Graph) -> None:
    """Raise ConfigError, with file and line, for the first thing that keeps a graph from being run."""
    stands = _stands(graph)
    for step in graph.steps.values():
        _check_words(step)
    if not any(graph.tasks()):
        raise _refused(graph.place, f"pipeline {graph.name} has no tasks", "call a step in it")
    reading = _Reading(graph, stands)
    for stand in stands.values():
        reading.check(stand)
    reading.check_outputs()
    _check_cycles(stands)


def check_arguments(graph: Graph, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every parameter that has one, typed; texts are read as what the parameter is, as in `-p depth=5`.

    An artifact's is a path, or a list of paths where it is several. Raises ConfigError for a name that is not known,
    for what is not of its type, and for what is missing.
    """
    for name in given:
        if name not in graph.parameters:
            message = f"pipeline {graph.name} has no parameter {name!r}"
            raise ConfigError(message, _meant(name, graph.parameters))
    values: dict[str, Any] = {}
    for name, port in graph.parameters.items():
        if name in given:
            values[name] = _argument(port, given[name], f"{graph.name}'s {name}")
        elif not port.optional and port.default is None:
            hint = f"give one: `-p {name}=…`, or `{name} = …` in `[pipeline.arguments]`"
            raise ConfigError(f"pipeline {graph.name} needs a value for {name}, {_a(port)}", hint)
        elif port.default is not None:
            values[name] = _argument(port, port.default, f"the default of {graph.name}'s {name}")
    return values


def _argument(port: Port, given: Any, what: str) -> Any:
    if port.is_parameter:
        return written(given, port.type, what) if isinstance(given, str) else typed(given, port.type, what)
    paths = given if isinstance(given, list | tuple) else [given]
    if isinstance(given, str) and port.many and given.startswith("["):
        paths = written(given, "list", what)
    if not all(isinstance(path, str) and path for path in paths) or (not port.many and len(paths) != 1):
        raise ConfigError(f"{what} is {given!r}, and should be {_a(port)}", "give the path of a file or folder")
    return list(paths) if port.many else paths[0]


# Names.


def _stands(graph: Graph) -> dict[str, Stand]:
    stands: dict[str, Stand] = {}
    for stand in _walk(graph.body, ()):
        name = stand.node.name
        if name in stands:
            message = f"two things are called {name!r}; the other is at {str(stands[name].place) or 'no line'}"
            raise _refused(stand.place, message, "give one of them another name: `.named(…)`")
        stands[name] = stand
    return stands


def _walk(body: tuple[Node, ...], around: tuple[str, ...]) -> Iterator[Stand]:
    for node in body:
        yield Stand(node=node, place=node.place, around=around)
        inner = (*around, node.name)
        if isinstance(node, When):
            for branch in node.branches:
                yield Stand(node=branch, place=node.place, around=inner)
                yield from _walk(branch.body, (*inner, branch.name))
        elif not isinstance(node, Task):
            yield from _walk(node.body, inner)


def _check_words(step: Step) -> None:
    """See that a command speaks of nothing that its step does not have."""
    if not isinstance(step.does, Command):
        return
    for word in _flat(step.does.argv):
        ports = step.outputs if isinstance(word, OutputPath) else step.inputs
        name = word.output if isinstance(word, OutputPath) else getattr(word, "input", None)
        if name is not None and name not in ports:
            what = "output" if isinstance(word, OutputPath) else "input"
            raise _refused(step.place, f"the command of {step.name} has no {what} {name!r}", _meant(name, ports))
        if isinstance(word, Value) and not step.inputs[word.input].is_parameter:
            message = f"the command of {step.name} asks for the value of {name}, {_a(step.inputs[word.input])}"
            raise _refused(step.place, message, f'write `path("{name}")`')


def _flat(words: tuple[str | Word, ...]) -> Iterator[Word]:
    for word in words:
        if isinstance(word, str):
            continue
        yield word
        if isinstance(word, Joined):
            yield from _flat(word.words)
        elif isinstance(word, IfGiven):
            yield from _flat((*word.then, *word.otherwise))


# What is read, and whether it can be.


class _Reading:
    """Looks at each source from where it is read."""

    def __init__(self, graph: Graph, stands: Mapping[str, Stand]) -> None:
        self._graph, self._stands = graph, stands
        self._kinds = Kinds(graph, {name: stand.node for name, stand in stands.items()}, self._loops_left)

    def check(self, stand: Stand) -> None:
        """Refuse what cannot be about one task, branch, loop or group."""
        node, here = stand.node, stand.around
        if isinstance(node, Branch):
            if node.condition is not None:
                self._check_condition(node.condition, stand)
            return
        for name in node.after:
            self._check_after(name, stand)
        if isinstance(node, ForEach):
            self._check_source(node.items, stand.place, here, f"loop {node.name}")
            self._check_items(node, here)
        elif isinstance(node, When) and any(branch.condition is None for branch in node.branches[:-1]):
            message = f"of the branches of {node.name} one has no condition, and is not the last"
            raise _refused(stand.place, message, "put `otherwise()` below the others")
        elif isinstance(node, Task):
            self._check_task(node, stand)

    def check_outputs(self) -> None:
        """Refuse outputs of the pipeline that are not there."""
        for name, source in self._graph.outputs.items():
            self._check_source(source, self._graph.place, (), f"output {name} of the pipeline")

    def _check_task(self, task: Task, stand: Stand) -> None:
        step = self._graph.steps.get(task.step)
        if step is None:
            message = f"task {task.name} calls the step {task.step!r}, which is not there"
            raise _refused(stand.place, message, _meant(task.step, self._graph.steps))
        for name, source in task.inputs.items():
            if name not in step.inputs:
                raise _refused(stand.place, f"{task.name} has no input {name!r}", _meant(name, step.inputs))
            what = f"{name} of {task.name}"
            self._check_source(source, stand.place, stand.around, what)
            if not step.inputs[name].optional:
                self._check_there(source, stand.place, stand.around, what)
            if fault := misfit(self._kinds, source, step.inputs[name], stand.around):
                raise _refused(stand.place, f"{what} {fault}", f"give what is {_a(step.inputs[name])}")
        for name, port in step.inputs.items():
            if name not in task.inputs and not port.optional and port.default is None:
                raise _refused(stand.place, f"{task.name} is not given {name}, {_a(port)}", f"add `{name}=…`")

    def _check_condition(self, condition: Condition, stand: Stand) -> None:
        # A branch is asked about where its `when` stands, which is the last that is around it.
        here = stand.around[:-1]
        for source in sources_of(condition):
            what = f"the condition of {stand.node.name}"
            self._check_source(source, stand.place, here, what)
            self._check_there(source, stand.place, here, what)
            port = self._kinds.of(source, here)
            if port is not None and not port.is_parameter:
                message = f"the condition of {stand.node.name} compares {_a(port)}, a file or folder"
                raise _refused(stand.place, message, "compare what a step returns")

    def _check_items(self, loop: ForEach, here: tuple[str, ...]) -> None:
        port = self._kinds.of(loop.items, here)
        if port is not None and not port.many and port.type != "list":
            message = f"loop {loop.name} goes through {_a(port)}"
            raise _refused(loop.place, message, "give it a list")

    def _check_after(self, name: str, stand: Stand) -> None:
        self._known(name, stand.place, f"{stand.node.name} comes after")
        self._not_elsewhere(name, stand.around, stand.place, f"{stand.node.name} comes after {name}")

    def _check_source(self, source: Source, place: Place, here: tuple[str, ...], what: str) -> None:
        for one in within(source):
            if isinstance(one, Argument) and one.name not in self._graph.parameters:
                message = f"{what} is the pipeline's parameter {one.name!r}, which is not there"
                raise _refused(place, message, _meant(one.name, self._graph.parameters))
            if isinstance(one, Item) and one.loop not in here:
                message = f"{what} is the item of {one.loop!r}, and does not stand in that loop"
                raise _refused(place, message, "indent it below `with for_each(…)`")
            if isinstance(one, Status):
                self._known(one.of, place, f"{what} is the status of")
            if isinstance(one, Output):
                self._check_output(one, place, here, what)

    def _check_output(self, source: Output, place: Place, here: tuple[str, ...], what: str) -> None:
        self._known(source.task, place, f"{what} comes from")
        task = self._stands[source.task].node
        if not isinstance(task, Task):
            raise _refused(place, f"{what} comes from {source.task}, which is no task", "name a task in it")
        step = self._graph.steps.get(task.step)
        if step is not None and source.name not in step.outputs:
            message = f"{what} is the output {source.name!r} of {source.task}, which is not there"
            raise _refused(place, message, _meant(source.name, step.outputs))
        self._not_elsewhere(source.task, here, place, f"{what} comes from {source.task}")

    def _check_there(self, source: Source, place: Place, here: tuple[str, ...], what: str) -> None:
        """Refuse what comes straight from a branch, which may not have been taken."""
        for name in _surely(source):
            nodes = (self._stands[one].node for one in self._stands[name].around if one not in here)
            around = next((one for one in nodes if isinstance(one, Branch | ForEach)), None)
            if isinstance(around, Branch):
                message = f"{what} comes from {name}, in the branch {around.name}, which may not be taken"
                raise _refused(place, message, "read it in that branch, or `first(…, …)` of all branches")

    def _known(self, name: str, place: Place, what: str) -> None:
        if name not in self._stands:
            raise _refused(place, f"{what} {name!r}, which is not there", _meant(name, self._stands))

    def _not_elsewhere(self, name: str, here: tuple[str, ...], place: Place, what: str) -> None:
        """Refuse what stands in another branch of the same `when`: where one is done the other is not."""
        theirs = self._stands[name].around
        for mine, other in zip(here, theirs, strict=False):
            if mine == other:
                continue
            if isinstance(self._stands[mine].node, Branch) and isinstance(self._stands[other].node, Branch):
                message = f"{what}, in another branch: where one is done, the other is not"
                raise _refused(place, message, "do what both need before the `when`")
            return

    def _loops_left(self, name: str, here: tuple[str, ...]) -> int:
        """How many loops an output leaves on its way from a task to one who stands here."""
        return sum(isinstance(self._stands[one].node, ForEach) and one not in here for one in self._stands[name].around)


def _surely(source: Source) -> Iterator[str]:
    """The tasks whose outputs have to be there for a source to be."""
    if isinstance(source, FirstOf):
        return
    if isinstance(source, Output):
        yield source.task
    for one in (source.of,) if isinstance(source, Part) else source.pieces if isinstance(source, Text) else ():
        if not isinstance(one, str):
            yield from _surely(one)


# Who waits for whom.


def _check_cycles(stands: Mapping[str, Stand]) -> None:
    """Refuse tasks that wait for each other, through what they read, come after, or stand in."""
    done: set[str] = set()
    for name in stands:
        way: dict[str, Iterator[str]] = {}
        todo = [f">{name}"]
        while todo:
            moment = todo[-1]
            if moment not in way:
                way[moment] = iter(() if moment in done else _before(moment, stands))
            following = next(way[moment], None)
            if following is None:
                todo.pop()
                del way[moment]
                done.add(moment)
            elif following in way:
                moments = list(way)
                raise _knot([one[1:] for one in moments[moments.index(following) :]], stands)
            elif following not in done:
                todo.append(following)


def _before(moment: str, stands: Mapping[str, Stand]) -> Iterator[str]:
    """What comes before a moment, which is the begin (`<fit`) or the end (`>fit`) of something."""
    name = moment[1:]
    stand = stands[name]
    if moment[0] == ">":
        yield f"<{name}"
        yield from (f">{inner}" for inner in _inside(stand.node))
        return
    if stand.around:
        yield f"<{stand.around[-1]}"
    for other in _needs(stand.node):
        # Of something in a loop that this does not stand in, all rounds have to end.
        outer = [one for one in stands[other].around if isinstance(stands[one].node, ForEach)]
        left = [one for one in outer if one not in stand.around and one != name]
        yield f">{left[0] if left else other}"


def _inside(node: Node | Branch) -> tuple[str, ...]:
    if isinstance(node, Task):
        return ()
    return tuple(one.name for one in (node.branches if isinstance(node, When) else node.body))


def _needs(node: Node | Branch) -> Iterator[str]:
    if isinstance(node, Branch):
        return
    yield from node.after
    sources: list[Source] = []
    if isinstance(node, Task):
        sources = list(node.inputs.values())
    elif isinstance(node, ForEach):
        sources = [node.items]
    elif isinstance(node, When):
        sources = [one for branch in node.branches if branch.condition for one in sources_of(branch.condition)]
    for source in sources:
        for one in references(source):
            yield one.task if isinstance(one, Output) else one.of


def _knot(names: list[str], stands: Mapping[str, Stand]) -> ConfigError:
    order = list(dict.fromkeys(names))
    first = stands[order[0]]
    if len(order) == 1:
        message = f"{order[0]} waits for itself"
    else:
        message = f"these wait for each other: {' -> '.join([*order, order[0]])}"
    return _refused(first.place, message, "take one of these inputs or `.after` out")


def _refused(place: Place, message: str, hint: str) -> ConfigError:
    where = f"{place}: " if str(place) else ""
    return ConfigError(f"{where}{message}", hint)


def _meant(name: str, names: Mapping[str, Any]) -> str:
    near = get_close_matches(name, names, 1)
    listed = ", ".join(names) or "none"
    return f"did you mean {near[0]!r}? there are: {listed}" if near else f"there are: {listed}"


def _a(port: Port) -> str:
    return f"list[{port.type}]" if port.many else port.type
