"""Branches, loops, and steps that run whatever happened: what stands behind `with` in a pipeline."""

from __future__ import annotations

from typing import Any, List, Optional, Union

from tiffin_pipeline.artifacts import Artifact, Status
from tiffin_pipeline.errors import PipelineError, a, caller
from tiffin_pipeline.handles import Around, Call, Value, whole
from tiffin_pipeline.nodes import Branch, Several, Task, When
from tiffin_pipeline.operands import Block, Condition, Facts, Operand, condition_of, facts_of
from tiffin_pipeline.ports import Port, constant
from tiffin_pipeline.steps import Step, bound
from tiffin_pipeline.tracing import Trace, left, needed


class Branching:
    """A branch that `with` opens."""

    def __init__(self, what: str, trace: Trace, node: When, condition: Optional[Condition]) -> None:
        """Open nothing yet."""
        self._what = what
        self._trace = trace
        self._node = node
        self._condition = condition
        self._place = caller()

    def __enter__(self) -> Around:
        trace, node = self._trace, self._node
        if not node.branches:
            trace.bodies[-1].nodes.append(node)
        around = Around(node.name, trace.scope)
        name = "%s-%d" % (node.name, len(node.branches) + 1)
        body = trace.enter(Block(name, "branch"))
        asked = None if self._condition is None else self._condition.document
        node.branches.append(Branch(name, asked, body))
        return around

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._trace.leave(self._what, self._place)


def when(condition: object) -> Branching:
    """Do what is indented where a condition holds: a comparison of outputs, or several with `&`, `|` and `~`."""
    trace = needed("when")
    asked = _readable(trace, condition, "`when`")
    return Branching("when", trace, When(trace.block("when"), caller(), []), asked)


def otherwise(condition: object = None) -> Branching:
    """Do what is indented where no branch above was taken, and the condition holds, if one is given."""
    trace = needed("otherwise")
    before = trace.bodies[-1].nodes[-1:]
    if not before or not isinstance(before[0], When):
        raise PipelineError(
            "`otherwise` does not follow a `when`",
            "put it right below a `with when(…):`, and call what it asks for above of both",
        )
    if before[0].branches[-1].condition is None:
        raise PipelineError(
            "`otherwise` follows an `otherwise()`, which takes all that is left", "put this one above it"
        )
    asked = None if condition is None else _readable(trace, condition, "`otherwise`")
    return Branching("otherwise", trace, before[0], asked)


def _readable(trace: Trace, condition: object, what: str) -> Condition:
    asked = condition_of(condition)
    for facts in asked.values:
        trace.reach(facts, what)
    return asked


class Looping:
    """A loop that `with` opens; it gives what the loop is at."""

    def __init__(self, trace: Trace, items: Any, parallel: int) -> None:
        """Open nothing yet."""
        self._trace = trace
        self._place = caller()
        self._name = trace.block("for-each")
        self._port: Optional[Port] = None
        settings = {"node": "for-each", "items": self._items(items), **({"parallel": parallel} if parallel else {})}
        self._settings = settings

    def _items(self, items: Any) -> Any:
        what = "`for_each`"
        if isinstance(items, Operand):
            facts = facts_of(items)
            self._trace.reach(facts, what)
            if facts.port is not None and (facts.port.many or facts.kind is not list):
                hint = "give a list of values: `[1, 2]`, an argument, or what a step returns as `list`"
                raise PipelineError("%s goes through %s, which is %s" % (what, facts.says, a(facts.type)), hint)
            return facts.source
        value = constant(Port(list), items, what)
        if not value:
            raise PipelineError("%s goes through an empty list" % what, "give it items, or take it out")
        kinds = {type(one) for one in value}
        self._port = Port(kinds.pop()) if len(kinds) == 1 else Port(float) if kinds == {int, float} else None
        return {"from": "constant", "value": value}

    def __enter__(self) -> Any:
        trace = self._trace
        block = Block(self._name, "loop")
        nodes = trace.bodies[-1].nodes
        nodes.append(Several(self._name, self._place, trace.enter(block), self._settings))
        source = {"from": "item", "loop": self._name}
        return Value(Facts(source, self._port, "the item of `%s`" % self._name, trace, trace.scope))

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._trace.leave("for_each", self._place)


def for_each(items: Any, parallel: int = 0) -> Looping:
    """Do what is indented for each item of a list, side by side, at most `parallel` at once where that is not 0."""
    return Looping(needed("for_each"), items, whole("`parallel`", parallel, "`parallel=2`"))


def collect(output: Union[Value, Call]) -> Value:
    """The list of what all rounds of a loop gave, in order; those that did not come to it gave nothing."""
    trace = needed("collect")
    facts = _operand(output, "collect")
    around = left(facts.scope, trace.scope)
    loops = [block for block in around if block.kind == "loop"]
    inner = facts.source["of"] if facts.source["from"] == "part" else facts.source
    if not loops or inner["from"] != "output" or facts.source["from"] == "part":
        hint = "collect what a step within `with for_each` gives, below of that"
        raise PipelineError("there is no list of %s" % facts.says, hint)
    port = facts.port
    gives = port._replace(many=True, optional=False) if port is not None and not port.is_parameter else Port(list)
    scope = facts.scope[: facts.scope.index(loops[0])]
    return Value(facts._replace(port=gives, scope=scope, says="collect(%s)" % facts.says))


def first(*outputs: Union[Value, Call]) -> Value:
    """The first of these that is there: what branches gave, of which only one was taken."""
    trace = needed("first")
    if not outputs:
        raise PipelineError("`first` is given nothing", "give an output of each branch: `first(a.model, b.model)`")
    several = [_operand(output, "first") for output in outputs]
    for facts in several:
        loops = [block for block in left(facts.scope, trace.scope) if block.kind == "loop"]
        if loops:
            hint = "`first(collect(…), …)`"
            raise PipelineError("%s has a value for each round of `%s`" % (facts.says, loops[0].name), hint)
    source = {"from": "first-of", "sources": [facts.source for facts in several]}
    says = "first(%s)" % ", ".join(facts.says for facts in several)
    return Value(Facts(source, _same(several), says, trace, trace.scope))


def _same(several: List[Facts]) -> Optional[Port]:
    ports = [facts.port for facts in several]
    kinds = {facts.kind for facts in several}
    port = ports[0]
    if port is None or None in ports:
        return None
    if any(one is not None and one.many is not port.many for one in ports):
        raise PipelineError("`first` is given lists and single artifacts", "give it outputs of one type")
    if len(kinds) == 1:
        return port._replace(optional=False, default=None)
    if kinds == {int, float}:
        return Port(float)
    if all(isinstance(kind, type) and issubclass(kind, Artifact) for kind in kinds):
        shared = [one for one in port.kind.__mro__ if all(issubclass(kind, one) for kind in kinds)]
        return port._replace(kind=shared[0], optional=False)
    shown = " and ".join(sorted({facts.type for facts in several}))
    raise PipelineError("`first` is given outputs of types %s" % shown, "give it outputs of one type")


def _operand(output: object, what: str) -> Facts:
    if not isinstance(output, Operand):
        raise PipelineError(
            "`%s` cannot take %r" % (what, output), "give an output of a step: `%s(tried.model)`" % what
        )
    return facts_of(output)


class Ending:
    """A body that `with` opens, and a step that runs when it has ended, however that was."""

    def __init__(self, trace: Trace, step: Step[Any], arguments: Any) -> None:
        """Open nothing yet."""
        self._trace = trace
        self._place = caller()
        self._name = trace.block("on-exit")
        told = {name: port for name, port in step.inputs.items() if port.kind is Status}
        others = {name: port for name, port in step.inputs.items() if name not in told}
        what = "step `%s`" % step.name
        given = bound(what, others, step.outputs, (), arguments)
        sources = {name: trace.source(one, others[name], "%s: `%s`" % (what, name)) for name, one in given.items()}
        sources.update({name: {"from": "status", "of": self._name} for name in told})
        self._task, self._call = trace.prepare(step, sources)
        self._task.after.append(self._name)
        self._task.settings["regardless"] = True

    def __enter__(self) -> Call:
        trace = self._trace
        outside: List[Union[Several, Task]] = trace.bodies[-1].nodes
        outside.append(Several(self._name, self._place, trace.enter(Block(self._name, "group")), {"node": "group"}))
        outside.append(self._task)
        return self._call

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._trace.leave("on_exit", self._place)


def on_exit(step: object, **arguments: Any) -> Ending:
    """Run a step with these arguments when what is indented has ended, whatever happened.

    A parameter of the step's of type `Status` is told how it ended.
    """
    if not isinstance(step, Step):
        raise PipelineError("`on_exit` cannot take %r" % (step,), "give the step itself: `with on_exit(tell, text=…):`")
    return Ending(needed("on_exit"), step, arguments)
