"""What stands for what is not there yet: values by themselves, and calls with their outputs."""

from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Union

from tiffin_pipeline.errors import PipelineError, a, known, meant
from tiffin_pipeline.nodes import Task
from tiffin_pipeline.operands import Facts, Operand, Scope, facts_of


class Value(Operand):
    """A value or artifact to come; `value["key"]`, `value.key` and `value[0]` are parts of a dict or list."""

    def __init__(self, facts: Facts) -> None:
        """Stand for what these facts are of."""
        self.__facts = facts

    def _facts(self) -> Facts:
        return self.__facts

    def __getitem__(self, key: Union[str, int]) -> "Value":
        facts = self.__facts
        if facts.kind not in (None, dict, list):
            raise PipelineError("%s is %s, and has no parts" % (facts.says, a(facts.type)), "use it as a whole")
        of, path = facts.source, [key]
        if of["from"] == "part":
            of, path = of["of"], [*of["path"], key]
        source = {"from": "part", "of": of, "path": path}
        return Value(facts._replace(source=source, port=None, says="%s[%r]" % (facts.says, key)))

    def __getattr__(self, name: str) -> "Value":
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __repr__(self) -> str:
        return "<%s: %s>" % (self.__facts.says, self.__facts.type)


class Around(NamedTuple):
    """A block as a whole, which `with … as block` gives: others may come after all of it."""

    name: str
    scope: Scope


class Call(Operand):
    """A task: a step that was called. Its outputs are its attributes; where it has but one, it may stand for that."""

    def __init__(self, task: Task, outputs: Dict[str, Value], trace: Any) -> None:
        """Keep what the tool will read, and the outputs by name."""
        self.__task = task
        self.__outputs = outputs
        self.__trace = trace

    def after(self, *others: "Union[Call, Around]") -> "Call":
        """Run after these have ended, though it reads nothing of them: calls, or blocks as a whole."""
        for other in others:
            self.__trace.come_after(self.__task, _task_of(other) if isinstance(other, Call) else other)
        return self

    def retry(self, count: int, seconds: float = 0.0, factor: float = 2.0, most: float = 3600.0) -> "Call":
        """Try again up to `count` times when it fails, after `seconds`, then `factor` times as long, up to `most`."""
        self.__task.settings["retry"] = retries(count, seconds, factor, most)
        return self

    def timeout(self, seconds: float) -> "Call":
        """End it after so many seconds, which is a failure."""
        self.__task.settings["timeout"] = positive("a timeout", seconds, "`.timeout(60)`")
        return self

    def named(self, name: str) -> "Call":
        """Give the task a name of its own; otherwise it has its step's."""
        self.__trace.rename(self.__task, name)
        return self

    def uncached(self) -> "Call":
        """Do it in every run, even where the same was done before."""
        self.__task.settings["cached"] = False
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        """The output of a name, also of one that a method has: `call["after"]`."""
        if name in self.__outputs:
            return self.__outputs[name]
        hint = meant(name, self.__outputs) if self.__outputs else "let it return a value, or take an `Output[Dataset]`"
        raise PipelineError("step `%s` has no output `%s`" % (self.__task.step, name), hint)

    def _facts(self) -> Facts:
        if len(self.__outputs) == 1:
            return facts_of(next(iter(self.__outputs.values())))
        message = "step `%s` does not have one output; its outputs are: %s" % (self.__task.step, known(self.__outputs))
        raise PipelineError(message, "name the one that is meant: `call.%s`" % next(iter(self.__outputs), "output"))

    def _noted(self) -> Task:
        return self.__task

    def __repr__(self) -> str:
        return "<call of step %s: %s>" % (self.__task.step, known(self.__outputs))


def _task_of(call: Call) -> Task:
    return call._noted()  # noqa: SLF001 - with an underscore only since outputs are attributes beside it


def retries(count: object, seconds: float = 0.0, factor: float = 2.0, most: float = 3600.0) -> Dict[str, Any]:
    """How often to try again, as the tool reads it; raises PipelineError for what cannot be."""
    often = whole("the count of a retry", count, "`.retry(3)`")
    for name, number, least in (("seconds", seconds, 0), ("factor", factor, 1), ("most", most, 0)):
        if not least <= number < math.inf:
            hint = "give a number of at least %d, as in `.retry(3, seconds=5)`" % least
            raise PipelineError("`%s` of a retry cannot be %r" % (name, number), hint)
    return {"count": often, "seconds": float(seconds), "factor": float(factor), "most": float(most)}


def whole(what: str, number: object, example: str) -> int:
    """A whole number of at least 0; raises PipelineError for others."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise PipelineError("%s cannot be %r" % (what, number), "give a whole number, as in %s" % example)
    return number


def positive(what: str, number: object, example: str) -> float:
    """A number above 0; raises PipelineError for others."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < math.inf:
        raise PipelineError("%s cannot be %r" % (what, number), "give a number above 0, as in %s" % example)
    return float(number)
