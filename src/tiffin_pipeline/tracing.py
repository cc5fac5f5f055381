"""How a pipeline's function becomes a graph: each call is noted in the body that is open, with its line."""

from __future__ import annotations

import re
from itertools import count
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Union

from tiffin_pipeline.errors import PipelineError, Place, a, caller
from tiffin_pipeline.handles import Around, Call, Value
from tiffin_pipeline.nodes import Task
from tiffin_pipeline.operands import Block, Condition, Facts, Operand, Scope, facts_of, pieces_of
from tiffin_pipeline.ports import MARK, Port, constant, fit

NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")
_open: "List[Trace]" = []


def current() -> "Optional[Trace]":
    """The pipeline that is being written, if one is."""
    return _open[-1] if _open else None


def needed(what: str) -> "Trace":
    """The pipeline that is being written; raises PipelineError where there is none."""
    trace = current()
    if trace is None:
        raise PipelineError("`%s` stands outside of a pipeline" % what, "use it in a function under `@pipeline`")
    return trace


class Body(NamedTuple):
    """A body that is open: the blocks around it, and its nodes so far."""

    scope: Scope
    nodes: List[Any]


class Trace:
    """A pipeline so far; within `with trace`, calls of steps are noted in it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bodies: List[Body] = [Body((), [])]
        self.steps: Dict[str, Any] = {}
        self._tasks: List[Task] = []
        self._named: Dict[str, Place] = {}
        self._counts: Dict[str, int] = {}
        self._blocks: List[str] = []

    def __enter__(self) -> None:
        _open.append(self)

    def __exit__(self, *_: object) -> None:
        _open.remove(self)

    @property
    def scope(self) -> Scope:
        """The blocks around what is written now."""
        return self.bodies[-1].scope

    def block(self, kind: str) -> str:
        """A name for the next block of a kind: `for-each-1`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._blocks.append("%s-%d" % (kind, self._counts[kind]))
        return self._blocks[-1]

    def enter(self, block: Block) -> List[Any]:
        """Note what follows in a block's body, which this gives."""
        self.bodies.append(Body((*self.scope, block), []))
        return self.bodies[-1].nodes

    def leave(self, what: str, place: Place) -> None:
        """End a block's body; raises PipelineError where nothing is in it."""
        if not self.bodies.pop().nodes:
            raise PipelineError("nothing is done within `%s`" % what, "call a step there, or take it out", place)

    def call(self, step: Any, inputs: Dict[str, Any]) -> Call:
        """Note a call of a step."""
        task, call = self.prepare(step, inputs)
        self.bodies[-1].nodes.append(task)
        return call

    def prepare(self, step: Any, inputs: Dict[str, Any]) -> "tuple[Task, Call]":
        """A call of a step that is not noted in any body yet; `inputs` are sources."""
        other = self.steps.setdefault(step.name, step)
        if other is not step:
            lines = "%s:%d and %s:%d" % (*other.place, *step.place)
            raise PipelineError("two steps are called `%s`: %s" % (step.name, lines), "give one of them another name")
        task = Task(step.name, inputs, caller(), self.scope)
        task.settings.update(step.of_each_task)
        outputs = {
            name: Value(
                Facts(
                    {"from": "output", "task": task, "name": name},
                    port,
                    "output `%s` of step `%s`" % (name, step.name),
                    self,
                    self.scope,
                )
            )
            for name, port in step.outputs.items()
        }
        self._tasks.append(task)
        return task, Call(task, outputs, self)

    def come_after(self, task: Task, other: Union[Task, Around]) -> None:
        """Have a task wait for another, or for a whole block."""
        if not isinstance(other, (Task, Around)):
            hint = "give what a call of a step gave, as in `.after(fitted)`"
            raise PipelineError("`.after` cannot take %r" % (other,), hint)
        if other is task:
            raise PipelineError("a call of step `%s` comes after itself" % task.step, "take this `.after` out")
        around = left(other.scope, task.scope)
        if around:
            raise PipelineError(
                "this comes after something within the %s `%s`" % (around[0].kind, around[0].name),
                "come after all of it: `with … as block:`, then `.after(block)`",
            )
        task.after.append(other if isinstance(other, Task) else other.name)

    def rename(self, task: Task, name: str) -> None:
        """Give a task the name that its writer wants."""
        if not NAME.fullmatch(str(name)):
            hint = "use small letters and digits, with - between them, as in `fit-deep`"
            raise PipelineError("a task cannot be called %r" % (name,), hint)
        if name in self._named:
            hint = "give one of them another name"
            raise PipelineError(
                "two tasks are called `%s`, the first at line %d" % (name, self._named[name].line), hint
            )
        self._named[name] = caller()
        task.name = name

    def source(self, given: object, port: Port, what: str) -> Dict[str, Any]:
        """Where an input comes from; raises PipelineError for what does not fit its port, or cannot be read here."""
        if isinstance(given, Condition):
            raise PipelineError("%s is given a condition" % what, "compare in a step that returns a bool")
        if isinstance(given, Operand):
            facts = facts_of(given)
            self.reach(facts, what)
            fit(facts.port, port, what, facts.says)
            return facts.source
        if isinstance(given, str) and MARK.search(given):
            return self._text(given, port, what)
        if not port.is_parameter:
            asked = "list[%s]" % port.type if port.many else port.type
            hint = "give what a step wrote, or make it an argument: `def …(rows: %s = %r):`" % (asked, given)
            if port.many:
                hint = "make them in `with for_each(…)`, and give `collect(…)` of the output"
            raise PipelineError("%s is %s, and is given %r" % (what, a(asked), given), hint)
        return {"from": "constant", "value": constant(port, given, what)}

    def _text(self, given: str, port: Port, what: str) -> Dict[str, Any]:
        if port.kind is not str:
            raise PipelineError("%s is %s, and is given a text" % (what, a(port.type)), "give the value itself")
        pieces = pieces_of(given)
        for piece in pieces:
            if isinstance(piece, Facts):
                self.reach(piece, what)
        if len(pieces) == 1 and isinstance(pieces[0], Facts) and pieces[0].kind is str:
            return pieces[0].source
        return {"from": "text", "pieces": [piece.source if isinstance(piece, Facts) else piece for piece in pieces]}

    def reach(self, facts: Facts, what: str) -> None:
        """Raise PipelineError where a value cannot be read in the body that is open."""
        if facts.trace is not self:
            raise PipelineError("%s is given %s, of another pipeline" % (what, facts.says), "give what this one makes")
        around = left(facts.scope, self.scope)
        if not around:
            return
        inner = facts.source["of"] if facts.source["from"] == "part" else facts.source
        hint = "`collect(…)` gives the list of what all rounds gave"
        if inner["from"] == "item":
            hint = "indent this, so that it lies within `with for_each`"
        elif around[0].kind == "branch":
            hint = "`first(a, b)` gives that of the branch which was taken"
        message = "%s is given %s, from within the %s `%s`" % (what, facts.says, around[0].kind, around[0].name)
        raise PipelineError(message, hint)

    def name_all(self) -> None:
        """Give each task without a name its step's, with a number where that is taken."""
        taken = {*self._named, *self._blocks}
        for name in self._blocks:
            if name in self._named:
                hint = "give the task another name"
                raise PipelineError("a task and a block are both called `%s`" % name, hint, self._named[name])
        free = {name: _free(name.replace("_", "-"), taken) for name in self.steps}
        for task in self._tasks:
            task.name = task.name or next(free[task.step])


def left(inner: Scope, here: Scope) -> Scope:
    """The blocks that a value leaves on its way here; what lies in a group is seen from outside of it."""
    same = 0
    while same < min(len(inner), len(here)) and inner[same] == here[same]:
        same += 1
    return tuple(block for block in inner[same:] if block.kind != "group")


def _free(name: str, taken: "set[str]") -> Iterator[str]:
    """Names that nothing has: `fit`, `fit-2`, `fit-3`."""
    for number in count(1):
        free = name if number == 1 else "%s-%d" % (name, number)
        if free not in taken:
            taken.add(free)
            yield free
