"""Channels between groups of tasks, followed to where they begin.

Kubeflow threads every value through the inputs and outputs of the groups (components with a `dag`) that it crosses; a
graph says from which task it comes, wherever that is. So each is followed inwards through outputs, and outwards through
inputs, until it is a task's, the pipeline's own, or a loop's item.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Argument, Constant, FirstOf, Output, Part, Source, Status, Text
from tiffin.pipeline.kubeflow.cel import NotRead, Typed, read_selector
from tiffin.pipeline.kubeflow.document import Path
from tiffin.pipeline.kubeflow.kinds import PARAMETER
from tiffin.pipeline.kubeflow.placeholders import WORKSPACE
from tiffin.pipeline.kubeflow.remarks import Remarks
from tiffin.pipeline.kubeflow.validate import Spec, selected
from tiffin.pipeline.meaning.addresses import INPUT

Way = tuple[str, ...]
"""A task by the names of the groups that it is in, and its own."""
MOST = 20_000
"""Tasks of a pipeline when all its groups are written out."""

TYPES = {name: type_ for type_, name in PARAMETER.items()} | {"TASK_CONFIG": "dict", "INT": "int", "DOUBLE": "float"}
"""Kubeflow's types of parameters, those of version 2.0.0 included."""
_EXACT = 2**53


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What tasks of one group see: its inputs, followed to where they begin. What is not given is not there."""

    way: Way
    path: Path
    component: dict[str, Any]
    values: dict[str, Typed] = {}
    artifacts: dict[str, Source] = {}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it was written: its place, its component, and what it is called in the graph.

    `name` is that of what gives its outputs, `node` that of all of it: they differ where a condition is on a task.
    """

    task: dict[str, Any]
    path: Path
    component: dict[str, Any]
    component_path: Path
    name: str
    node: str

    @property
    def loops(self) -> bool:
        """Say whether it is done once for each of several items."""
        return "parameterIterator" in self.task or "artifactIterator" in self.task

    @property
    def condition(self) -> str:
        """The condition under which it is done, if there is one."""
        return str(self.task.get("triggerPolicy", {}).get("condition", ""))


def type_of(definition: dict[str, Any]) -> str:
    """The type of a parameter's definition."""
    return TYPES.get(definition.get("parameterType", definition.get("type", "")), "")


def plain(value: Any, type_: str = "") -> Any:
    """A value of the message, in which every number is a float, as one of a type; 3.0 within others is 3."""
    if isinstance(value, float) and type_ != "float" and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and type_ == "float":
        return float(value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def all_calls(spec: Spec) -> dict[Way, Call]:
    """Every task of a pipeline, groups before what is in them, each with a name of its own."""
    calls: dict[Way, Call] = {}
    taken: set[str] = set()
    waiting: list[tuple[Way, Path, dict[str, Any]]] = [((), ("root",), spec.pipeline["root"])]
    while waiting:
        way, path, component = waiting.pop(0)
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            inner = (*way, name)
            called, label = spec.component(task), str(task["componentRef"]["name"])
            own = _own_name("-".join(inner), taken)
            wrapped = (
                "triggerPolicy" in task and task["triggerPolicy"].get("condition") and not _is_bare_group(task, called)
            )
            calls[inner] = Call(
                task=task,
                path=(*path, "dag", "tasks", name),
                component=called,
                component_path=("components", label),
                name=own,
                node=_own_name(f"{own}-if", taken) if wrapped else own,
            )
            waiting.append((inner, ("components", label), called))
        if len(calls) > MOST:
            raise UnsupportedError(
                f"{spec.file} has more than {MOST} tasks when its groups are written out", "split it into several"
            )
    return calls


def _is_bare_group(task: dict[str, Any], component: dict[str, Any]) -> bool:
    return "dag" in component and "parameterIterator" not in task and "artifactIterator" not in task


def _own_name(wanted: str, taken: set[str]) -> str:
    """A name that no other has."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    taken.add(name)
    return name


class Channels:
    """Follows what tasks take and groups give."""

    def __init__(self, root: dict[str, Any], calls: dict[Way, Call], remarks: Remarks) -> None:
        self._root, self._calls, self._remarks = root, calls, remarks

    def output(self, way: Way, kind: str, key: str) -> Source | None:
        """What a task gives, seen from beside it; None for what a group declares and takes from nowhere."""
        return self._output(way, kind, key, len(way) - 1)

    def selected(self, way: Way, kind: str, key: str) -> Source | None:
        """What a group takes of the tasks in it for an output of its own; the whole pipeline's way is empty."""
        return self._selected(way, kind, key, len(way))

    def _output(self, way: Way, kind: str, key: str, seen_from: int) -> Source | None:
        """`seen_from` is how many groups whoever takes it is in as well."""
        call = self._calls[way]
        if "executorLabel" in call.component:
            return Output(task=call.name, name=key)
        return self._selected(way, kind, key, seen_from)

    def _selected(self, way: Way, kind: str, key: str, seen_from: int) -> Source | None:
        component = self._calls[way].component if way else self._root
        selector = component["dag"].get("outputs", {}).get(kind, {}).get(key, {})
        found = (self._output((*way, producer), kind, name, seen_from) for producer, name in selected(selector))
        sources = tuple(source for source in found if source is not None)
        if len(sources) < 2:  # noqa: PLR2004 - one of one is that one
            return next(iter(sources), None)
        if any(self._calls[way[:depth]].loops for depth in range(seen_from + 1, len(way) + 1)):
            place = self._calls[way].component_path
            self._remarks.refuse(
                (*place, "dag", "outputs", kind, key),
                "what one of several branches gives is collected over a loop",
                "collect what each branch gives, or take the branches out of the loop",
            )
        return FirstOf(sources=sources)

    def values(self, scope: Scope, call: Call) -> dict[str, Typed]:
        """The parameters that a task is given, and the types that its component has for them."""
        given = call.task.get("inputs", {}).get("parameters", {})
        found = {name: self._value(scope, call, name, ()) for name in given}
        return {name: typed for name, typed in found.items() if typed is not None}

    def artifacts(self, scope: Scope, call: Call) -> dict[str, Source]:
        """The artifacts that a task is given."""
        found: dict[str, Source | None] = {}
        for name, source in call.task.get("inputs", {}).get("artifacts", {}).items():
            if "componentInputArtifact" in source:
                found[name] = scope.artifacts.get(source["componentInputArtifact"])
            else:
                told = source["taskOutputArtifact"]
                found[name] = self.output((*scope.way, told["producerTask"]), "artifacts", told["outputArtifactKey"])
        return {name: source for name, source in found.items() if source is not None}

    def _value(self, scope: Scope, call: Call, name: str, asked: tuple[str, ...]) -> Typed | None:
        """One parameter of a task; `asked` are those whose text it is a part of."""
        source = call.task["inputs"]["parameters"][name]
        path = (*call.path, "inputs", "parameters", name)
        found = self._begins(scope, call, name, path, asked)
        selector = source.get("parameterExpressionSelector")
        if found is not None and selector:
            try:
                found = read_selector(selector, found)
            except NotRead as error:
                self._remarks.refuse(path, f"a selector that is not read here, `{selector}`: {error}", _SELECTORS)
        definition = call.component.get("inputDefinitions", {}).get("parameters", {}).get(name)
        if found is None or definition is None:
            return found
        return _as_declared(found, type_of(definition))

    def _begins(self, scope: Scope, call: Call, name: str, path: Path, asked: tuple[str, ...]) -> Typed | None:
        source = call.task["inputs"]["parameters"][name]
        if "componentInputParameter" in source:
            return scope.values.get(source["componentInputParameter"])
        if "taskOutputParameter" in source:
            told = source["taskOutputParameter"]
            way, key = (*scope.way, told["producerTask"]), told["outputParameterKey"]
            output = self.output(way, "parameters", key)
            definition = self._calls[way].component["outputDefinitions"]["parameters"][key]
            return None if output is None else Typed(source=output, type=type_of(definition))
        if "taskFinalStatus" in source:
            way = (*scope.way, source["taskFinalStatus"]["producerTask"])
            return Typed(source=Status(of=self._calls[way].node), type="status")
        if "constant" not in source.get("runtimeValue", {}):
            self._remarks.refuse(path, "a value that is given in no way known here", "give a constant")
            return None
        return self._constant(scope, call, source["runtimeValue"]["constant"], (*asked, name))

    def _constant(self, scope: Scope, call: Call, value: Any, asked: tuple[str, ...]) -> Typed | None:
        """A value that was written down, and in whose text there may be other parameters of the same task."""
        if value is None:
            return None
        if not isinstance(value, str):
            return Typed(source=Constant(value=plain(value)), type="")
        text = value.replace("{{$.workspace_path}}", WORKSPACE)
        others = call.task["inputs"]["parameters"]
        pieces: list[str | Source] = []
        at = 0
        for match in INPUT.finditer(text):
            name = match[1] or match[2]
            if name not in others or name in asked:
                continue
            inner = self._value(scope, call, name, asked)
            if match[0] == text:
                return inner
            pieces += [text[at : match.start()], *([] if inner is None else [inner.source])]
            at = match.end()
        if not pieces:
            return Typed(source=Constant(value=text), type="str")
        return Typed(source=Text(pieces=tuple(each for each in (*pieces, text[at:]) if each != "")), type="str")


_SELECTORS = 'selectors read here are such as parseJson(string_value)["name"]'


def _as_declared(found: Typed, type_: str) -> Typed:
    """A source taken for what the component declares; a text takes numbers and truths as text (driver/resolver)."""
    source = found.source
    if isinstance(source, Constant):
        value = plain(source.value, type_)
        if type_ == "str" and not isinstance(value, str):
            return Typed(source=Text(pieces=(Constant(value=value),)), type="str")
        return Typed(source=Constant(value=value), type=type_)
    if type_ == "str" and found.type not in {"str", ""}:
        return Typed(source=Text(pieces=(source,)), type="str")
    if type_ in {"list", "dict"} and found.type == "str":
        return Typed(source=Part(of=source, path=()), type=type_)
    return Typed(source=source, type=found.type if found.type == "status" else type_ or found.type)


def arguments(component: dict[str, Any]) -> Scope:
    """What the tasks of a whole pipeline see: what it is run with."""
    definitions = component.get("inputDefinitions", {})
    return Scope(
        way=(),
        path=("root",),
        component=component,
        values={
            name: Typed(source=Argument(name=name), type=type_of(port))
            for name, port in definitions.get("parameters", {}).items()
        },
        artifacts={name: Argument(name=name) for name in definitions.get("artifacts", {})},
    )
