"""Pipelines: functions under `@pipeline`, each of which becomes a graph when it is traced."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

from tiffin_pipeline.artifacts import Status
from tiffin_pipeline.errors import PipelineError, known
from tiffin_pipeline.functions import is_function, parameters
from tiffin_pipeline.handles import Value
from tiffin_pipeline.nodes import written
from tiffin_pipeline.operands import Condition, Facts, Operand, facts_of
from tiffin_pipeline.ports import Port, default_of, kind_of, place_of, type_hints
from tiffin_pipeline.steps import bound
from tiffin_pipeline.tracing import Trace, current

FORMAT = "1"


class Pipeline:
    """Steps that feed each other; `trace` gives its graph. Called in another pipeline, its steps are noted there."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read the parameters of a function; raises PipelineError for what cannot be one."""
        self.function = function
        self.name = function.__name__.replace("_", "-")
        self.place = place_of(function)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.parameters = self._ports()
        self._written = False

    def _ports(self) -> Dict[str, Port]:
        what = "pipeline `%s`" % self.name
        hints = type_hints(self.function, what, self.place)
        ports: Dict[str, Port] = {}
        for name, named, default in parameters(self.function):
            says = "%s: parameter `%s`" % (what, name)
            if name not in hints or not named:
                hint = "write each with its type: `depth: int = 4`, `rows: Dataset`"
                raise PipelineError("%s has no type" % says, hint, self.place)
            port = kind_of(hints[name], says, self.place)
            if port.written or port.kind is Status:
                hint = "return what the pipeline gives: `return fitted.model`; `on_exit` tells a step how it ended"
                raise PipelineError(
                    "%s cannot be %s" % (says, "an Output" if port.written else "a Status"), hint, self.place
                )
            for given in default or ():
                value = None if given is None else default_of(port, given, says, self.place)
                port = port._replace(optional=True, default=value)
            ports[name] = port
        return ports

    def trace(self, root: "Optional[str]" = None) -> Dict[str, Any]:
        """Its graph, as the tool reads it; files are named as seen from `root`, the folder of the code."""
        root = root or str(Path.cwd())
        trace = Trace()
        with trace:
            arguments = {
                name: Value(Facts({"from": "argument", "name": name}, port, "argument `%s`" % name, trace))
                for name, port in self.parameters.items()
            }
            outputs = self._outputs(trace, self._called(arguments))
        if not trace.bodies[0].nodes:
            raise PipelineError("pipeline `%s` does nothing" % self.name, "call a step in it", self.place)
        trace.name_all()
        document: Dict[str, Any] = {"name": self.name, "format": FORMAT}
        if self.__doc__:
            document["description"] = self.__doc__.strip().partition("\n")[0]
        return {
            **document,
            "parameters": {name: port.document() for name, port in self.parameters.items()},
            "steps": {name: step.document(root) for name, step in trace.steps.items()},
            "body": [node.document(root) for node in trace.bodies[0].nodes],
            "outputs": written(outputs),
            "place": self.place.document(root),
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note its steps in the pipeline that is being written, and give what its function returns."""
        if current() is None:
            hint = "`tiffin pipeline run` runs it; `%s.trace()` is its graph" % self.__name__
            raise PipelineError("pipeline `%s` is called outside of a pipeline" % self.name, hint)
        given = bound("pipeline `%s`" % self.name, self.parameters, {}, args, kwargs)
        return self._called(self._inner(given))

    def _inner(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        """What this is called with within another: defaults for what is not given."""
        trace = current()
        assert trace is not None  # noqa: S101 - whoever calls this has looked
        values: Dict[str, Any] = {}
        for name, port in self.parameters.items():
            what = "pipeline `%s`: `%s`" % (self.name, name)
            if name not in given and port.default is not None and not port.is_parameter:
                raise PipelineError(
                    "%s is a file, and is not given" % what, "make it an argument of this pipeline, too"
                )
            one = given.get(name, port.default)
            if one is None:
                values[name] = None
                continue
            facts = Facts(trace.source(one, port, what), port, what, trace, trace.scope)
            values[name] = Value(facts_of(one) if isinstance(one, Operand) else facts)
        return values

    def _called(self, arguments: Dict[str, Any]) -> Any:
        if self._written:
            raise PipelineError("pipeline `%s` calls itself" % self.name, "use `for_each` to do something again")
        self._written = True
        try:
            return self.function(**arguments)
        finally:
            self._written = False

    def _outputs(self, trace: Trace, returned: Any) -> Dict[str, Any]:
        if returned is None:
            return {}
        fields: List[str] = list(getattr(returned, "_fields", ())) if isinstance(returned, tuple) else []
        named = {name: getattr(returned, name) for name in fields} or returned
        if isinstance(named, Operand):
            named = {"output": named}
        what = "pipeline `%s`" % self.name
        if not isinstance(named, dict) or any(isinstance(one, Condition) for one in named.values()):
            hint = 'return an output, or a dict or NamedTuple of them: `return {"model": fitted.model}`'
            raise PipelineError("%s returns %r" % (what, returned), hint, self.place)
        outputs = {}
        for name, one in named.items():
            if not isinstance(one, Operand):
                raise PipelineError(
                    "%s returns %r as `%s`" % (what, one, name), "return an output of a step", self.place
                )
            facts = facts_of(one)
            trace.reach(facts, "%s: output `%s`" % (what, name))
            outputs[name] = facts.source
        return outputs

    def __repr__(self) -> str:
        return "<pipeline %s: %s>" % (self.name, known(self.parameters))


def pipeline(function: Callable[..., Any]) -> Pipeline:
    """Make a pipeline of a function that calls steps."""
    if not is_function(function):
        raise PipelineError(
            "`@pipeline` stands above %r" % (function,), "write it right above a `def`, without brackets"
        )
    return Pipeline(function)
