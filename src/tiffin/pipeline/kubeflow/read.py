"""A compiled Kubeflow pipeline becomes a graph, and what cannot be run here is said with its place.

Each task of its groups is written out under the way to it (`exit-handler-1-print-op`), and takes what it takes from
where that begins (`inline`). What the open-source back end does not implement is refused here as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Condition,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Group,
    Item,
    Node,
    Part,
    Retry,
    Source,
    Status,
    Step,
    Task,
    When,
)
from tiffin.pipeline.kubeflow.cel import NotRead, Typed, read_condition
from tiffin.pipeline.kubeflow.containers import Executors, named_in, ports
from tiffin.pipeline.kubeflow.document import Path
from tiffin.pipeline.kubeflow.inline import Call, Channels, Scope, Way, all_calls, arguments, plain, type_of
from tiffin.pipeline.kubeflow.placeholders import RUN
from tiffin.pipeline.kubeflow.quantities import seconds
from tiffin.pipeline.kubeflow.remarks import Remark, Remarks, refuse_to_run
from tiffin.pipeline.kubeflow.settings import read_config, settings_of, wants_workspace
from tiffin.pipeline.kubeflow.validate import Spec, in_order

_REGARDLESS = "ALL_UPSTREAM_TASKS_COMPLETED"
_LIGHTWEIGHT = "kfp.dsl.executor_main"
_LATER = "the open-source back end of Kubeflow does not do it either"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled pipeline as it was understood: `told` is otherwise here, `refused` would be done wrong."""

    graph: Graph
    workspace: bool = False
    told: tuple[Remark, ...] = ()
    refused: tuple[Remark, ...] = ()

    def runnable(self) -> Graph:
        """The graph, if it can be run here; raises UnsupportedError with all that keeps it from being."""
        refuse_to_run(self.refused)
        return self.graph


def read_graph(spec: Spec, *, network: bool = False) -> Reading:
    """Understand a compiled pipeline; its steps have a `network` if that is said, as they have one on a cluster."""
    remarks = Remarks(spec)
    reader = _Reader(spec, remarks, network=network)
    graph = reader.graph()
    return Reading(graph=graph, workspace=reader.workspace, told=tuple(remarks.told), refused=tuple(remarks.refused))


class _Reader:
    """Writes one pipeline out."""

    def __init__(self, spec: Spec, remarks: Remarks, *, network: bool) -> None:
        self._spec, self._remarks, self._network = spec, remarks, network
        self._calls = all_calls(spec)
        self._channels = Channels(spec.pipeline["root"], self._calls, remarks)
        self._executors = Executors(spec, remarks)
        self._further = self._undeclared()
        self._steps: dict[str, Step] = {}
        self.workspace = wants_workspace(spec)

    def graph(self) -> Graph:
        root = self._spec.pipeline["root"]
        scope = arguments(root)
        information = self._spec.pipeline["pipelineInfo"]
        read_config(self._spec, self._remarks)
        if "defaultPipelineRoot" in self._spec.pipeline:
            self._remarks.tell(("defaultPipelineRoot",), "what tasks give is kept in the store")
        return Graph(
            name=information["name"],
            description=information.get("description", ""),
            parameters=ports(root.get("inputDefinitions", {})),
            body=self._body(scope),
            steps=self._steps,
            outputs=dict(self._outputs(root)),
            place=self._spec.place(("root",)),
        )

    def _outputs(self, root: dict[str, Any]) -> Iterator[tuple[str, Source]]:
        for kind, given in root["dag"].get("outputs", {}).items():
            for name in given:
                source = self._channels.selected((), kind, name)
                if source is not None:
                    yield name, source

    def _body(self, scope: Scope) -> tuple[Node, ...]:
        tasks = scope.component["dag"]["tasks"]
        if all(task.get("triggerPolicy", {}).get("strategy") == _REGARDLESS for task in tasks.values()):
            self._refuse((*scope.path, "dag", "tasks"), "a group of exit tasks only", _LATER)
        return tuple(self._node(scope, name) for name in in_order(tasks))

    def _node(self, scope: Scope, name: str) -> Node:
        way = (*scope.way, name)
        call = self._calls[way]
        after = tuple(self._calls[*scope.way, each].node for each in call.task.get("dependentTasks", ()))
        regardless = call.task.get("triggerPolicy", {}).get("strategy") == _REGARDLESS
        values, artifacts = self._channels.values(scope, call), self._channels.artifacts(scope, call)
        self._check(call)
        condition = self._condition(call, values)
        place = self._spec.place(call.path)
        if condition is None:
            inner = self._inner(way, call, values, artifacts)
            return msgspec.structs.replace(inner, after=after, regardless=regardless)
        if "dag" in call.component and not call.loops:
            body = self._body(self._within(way, call, values, artifacts))
        else:
            body = (self._inner(way, call, values, artifacts),)
        branch = Branch(name=f"{call.node}-then", condition=condition, body=body)
        return When(name=call.node, after=after, regardless=regardless, branches=(branch,), place=place)

    def _inner(self, way: Way, call: Call, values: dict[str, Typed], artifacts: dict[str, Source]) -> Node:
        """A task without its condition and what it comes after."""
        place = self._spec.place(call.path)
        if "executorLabel" in call.component:
            return self._task(call, values, artifacts)
        if "retryPolicy" in call.task:
            self._refuse((*call.path, "retryPolicy"), "a group that is tried again", "have its tasks tried again")
        if not call.loops:
            return Group(name=call.name, body=self._body(self._within(way, call, values, artifacts)), place=place)
        limit = call.task.get("iteratorPolicy", {}).get("parallelismLimit", 0)
        items, scope = self._items(way, call, values, artifacts)
        return ForEach(name=call.name, items=items, body=self._body(scope), parallel=limit, place=place)

    def _within(self, way: Way, call: Call, values: dict[str, Typed], artifacts: dict[str, Source]) -> Scope:
        """What the tasks of a group see: what it is given, and its own defaults where that is nothing."""
        declared = call.component.get("inputDefinitions", {}).get("parameters", {})
        seen = dict(values)
        for name, port in declared.items():
            if "defaultValue" not in port:
                continue
            type_ = type_of(port)
            default = Constant(value=plain(port["defaultValue"], type_))
            given = values.get(name)
            if given is None:
                seen[name] = Typed(source=default, type=type_)
            elif self._may_be_missing(given.source):
                seen[name] = Typed(source=FirstOf(sources=(given.source, default)), type=type_)
        return Scope(way=way, path=call.component_path, component=call.component, values=seen, artifacts=artifacts)

    def _may_be_missing(self, source: Source) -> bool:
        """Say whether it is an argument that a run need not have."""
        definitions = self._spec.pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
        port = definitions.get(source.name, {}) if isinstance(source, Argument) else {}
        return bool(port.get("isOptional")) and "defaultValue" not in port

    def _items(
        self, way: Way, call: Call, values: dict[str, Typed], artifacts: dict[str, Source]
    ) -> tuple[Source, Scope]:
        """What a loop goes over, and what its tasks see."""
        scope = self._within(way, call, values, artifacts)
        item = Item(loop=call.name)
        if "artifactIterator" in call.task:
            iterator = call.task["artifactIterator"]
            self._refuse(
                (*call.path, "artifactIterator"), "a loop over artifacts", f"{_LATER}; loop over a list of values"
            )
            scope.artifacts[iterator["itemInput"]] = item
            return artifacts.get(iterator["items"]["inputArtifact"], Constant(value=[])), scope
        iterator = call.task["parameterIterator"]
        definition = call.component["inputDefinitions"]["parameters"][iterator["itemInput"]]
        scope.values[iterator["itemInput"]] = Typed(source=item, type=type_of(definition))
        items = iterator["items"]
        path = (*call.path, "parameterIterator", "items")
        if "inputParameter" in items:
            given = values.get(items["inputParameter"])
            if given is None:
                self._refuse(path, f"nothing is given for {items['inputParameter']!r}", "give the loop a list")
                return Constant(value=[]), scope
            return Part(of=given.source, path=()) if given.type == "str" else given.source, scope
        return Constant(value=self._written_items(items.get("raw", ""), path)), scope

    def _written_items(self, raw: str, path: Path) -> Any:
        try:
            return plain(msgspec.json.decode(raw, type=list[Any]))
        except msgspec.DecodeError as error:
            self._refuse(path, f"no list in JSON: {error}", "write a list such as [1, 2]")
            return []

    def _check(self, call: Call) -> None:
        """Refuse what the open-source back end does not implement."""
        if "parameterIterator" in call.task and "artifactIterator" in call.task:
            self._refuse(call.path, "a loop over values and artifacts at once", _LATER)
        label = call.component.get("executorLabel")
        if label is None:
            return
        if call.loops:
            self._refuse(call.path, "a loop over a component without tasks", f"{_LATER}; loop over a group")
        if call.condition and "importer" in self._spec.executors[label]:
            self._refuse((*call.path, "triggerPolicy"), "an importer with a condition", f"{_LATER}; put it before")

    def _condition(self, call: Call, values: dict[str, Typed]) -> Condition | None:
        if not call.condition:
            return None
        definitions = call.component.get("inputDefinitions", {}).get("parameters", {})

        def lookup(name: str) -> Typed | None:
            if name in values:
                return values[name]
            port = definitions.get(name, {})
            type_ = type_of(port)
            default = port.get("defaultValue")
            return None if default is None else Typed(source=Constant(value=plain(default, type_)), type=type_)

        try:
            return read_condition(call.condition, lookup)
        except NotRead as error:
            path = (*call.path, "triggerPolicy", "condition")
            self._refuse(path, f"a condition that is not read here, `{call.condition}`: {error}", _CONDITIONS)
            return None

    def _task(self, call: Call, values: dict[str, Typed], artifacts: dict[str, Source]) -> Task:
        label = call.component["executorLabel"]
        step = self._step(call, values)
        caching = call.task.get("cachingOptions", {})
        if "cacheKey" in caching:
            self._remarks.tell((*call.path, "cachingOptions"), "results are known by content, whatever the cacheKey")
        inputs = {name: typed.source for name, typed in values.items()} | artifacts
        kept = (
            caching.get("enableCache", False) and not self.workspace and not any(map(_is_of_the_run, inputs.values()))
        )
        return Task(
            name=call.name,
            step=step.name,
            inputs={name: source for name, source in inputs.items() if name in step.inputs},
            retry=self._retry(call),
            timeout=settings_of(self._spec, label, self._remarks).timeout,
            cached=kept,
            place=self._spec.place(call.path),
        )

    def _retry(self, call: Call) -> Retry:
        policy = call.task.get("retryPolicy")
        if policy is None:
            return Retry()
        path = (*call.path, "retryPolicy")
        try:
            return Retry(
                count=policy.get("maxRetryCount", 0),
                seconds=seconds(policy.get("backoffDuration", "0s")),
                factor=policy.get("backoffFactor", 2.0),
                most=seconds(policy.get("backoffMaxDuration", "3600s")),
            )
        except ValueError as error:
            self._refuse(path, str(error), "write seconds such as 30s")
            return Retry()

    def _step(self, call: Call, values: dict[str, Typed]) -> Step:
        """The step of a task's component, made when it is met first."""
        label = call.task["componentRef"]["name"]
        name = str(label).removeprefix("comp-")
        statuses = {each for each, typed in values.items() if isinstance(typed.source, Status)}
        step = self._steps.get(name) or self._new_step(call, name, self._further.get(label, frozenset()))
        told = {
            each: msgspec.structs.replace(port, type="status") if each in statuses else port
            for each, port in step.inputs.items()
        }
        self._steps[name] = msgspec.structs.replace(step, inputs=told)
        return self._steps[name]

    def _new_step(self, call: Call, name: str, further: frozenset[str]) -> Step:
        executor = call.component["executorLabel"]
        settings = settings_of(self._spec, executor, self._remarks)
        step = self._executors.step(call.component, call.component_path, name, further)
        path = ("deploymentSpec", "executors", executor)
        for each, port in call.component.get("inputDefinitions", {}).get("parameters", {}).items():
            if port.get("parameterType") == "TASK_CONFIG":
                where = (*call.component_path, "inputDefinitions", "parameters", each)
                self._refuse(where, "an input that is what Kubernetes is told of the task", "give it as a parameter")
        if not self._network and _LIGHTWEIGHT in str(
            self._spec.executors[executor].get("container", {}).get("command")
        ):
            self._remarks.tell(
                path,
                "a Python component: it installs kfp when it starts, and there is no network; "
                "run it with one, or give it an image that has kfp",
            )
        env = {**step.env, **settings.env}
        return msgspec.structs.replace(step, env=env, network=self._network)

    def _undeclared(self) -> dict[str, frozenset[str]]:
        """Inputs that a component's container names and tasks give it, and that it does not declare."""
        found: dict[str, frozenset[str]] = {}
        for call in self._calls.values():
            label = call.component.get("executorLabel")
            if label is not None:
                name = call.task["componentRef"]["name"]
                given = frozenset(call.task.get("inputs", {}).get("parameters", {}))
                named = named_in(self._spec.executors[label].get("container", {}))
                found[name] = found.get(name, frozenset()) | (given & named)
        return found

    def _refuse(self, path: Path, message: str, hint: str) -> None:
        self._remarks.refuse(path, message, hint)


_CONDITIONS = "compare inputs.parameter_values['…'] with values, and join comparisons with && || !"


def _is_of_the_run(source: Source) -> bool:
    return isinstance(source, Constant) and source.value in RUN
