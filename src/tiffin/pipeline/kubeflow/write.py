"""A graph as a PipelineSpec 2.1.0, which Kubeflow Pipelines v2 runs."""

from __future__ import annotations

from typing import Any

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Graph, Port, Task
from tiffin.pipeline.kubeflow import components, executors, tasks
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.imports import with_importers
from tiffin.pipeline.kubeflow.kinds import Kinds
from tiffin.pipeline.kubeflow.layout import Layout, Scope, lay_out
from tiffin.pipeline.kubeflow.names import component, executor, plain
from tiffin.pipeline.kubeflow.refuse import refuse
from tiffin.pipeline.kubeflow.wiring import Ends, Wiring

SCHEMA = "2.1.0"
SDK = "kfp-2.17.0"
"""What Kubeflow's pages take the specification to be written by; they look for the first part of it."""

Document = dict[str, Any]


def pipeline_spec(graph: Graph, images: Images) -> Document:
    """A graph for Kubeflow, with `platforms` beside it where Kubernetes is told something.

    Raises UnsupportedError, with the line of pipeline.py, for what Kubeflow's open-source back end would not run.
    """
    refuse(graph, images)
    graph = with_importers(graph)
    layout = lay_out(graph)
    return _Writer(graph, images, layout).document()


class _Writer:
    def __init__(self, graph: Graph, images: Images, layout: Layout) -> None:
        self._graph, self._images, self._layout = graph, images, layout
        self._wiring = Wiring(graph, layout, Kinds(graph))

    def document(self) -> Document:
        info = {"name": plain(self._graph.name), "description": self._graph.description}
        made: Document = {
            "pipelineInfo": {name: value for name, value in info.items() if value},
            "schemaVersion": SCHEMA,
            "sdkVersion": SDK,
            "components": {component(name): one for name, one in self._components().items()},
            "deploymentSpec": {"executors": self._executors()},
            "root": self._root(),
        }
        pods = {executor(task.name): executors.pod(task) for task in self._graph.tasks() if executors.pod(task)}
        return {**made, "platforms": {"kubernetes": {"deploymentSpec": {"executors": pods}}}} if pods else made

    def _components(self) -> Document:
        inner = {scope.name: self._graph_of(scope) for scope in self._layout.root.scopes() if scope.kind != "root"}
        steps = self._graph.steps
        return inner | {task.name: components.of_step(steps[task.step], task.name) for task in self._graph.tasks()}

    def _executors(self) -> Document:
        steps = self._graph.steps
        return {executor(task.name): executors.of_step(steps[task.step], self._images) for task in self._graph.tasks()}

    def _root(self) -> Document:
        outputs = {name: port for name, (port, _) in self._wiring.outputs.items()}
        taken = {name: [where] for name, (_, where) in self._wiring.outputs.items()}
        dag = self._dag(self._layout.root, outputs, taken)
        return {**components.interface(self._graph.parameters, outputs), "dag": dag}

    def _graph_of(self, scope: Scope) -> Document:
        ends = self._wiring.ends[scope.name]
        inputs = {name: Port(type=port.type, many=port.many) for name, port in ends.inputs.items()}
        outputs = {name: Port(type=port.type, many=port.many) for name, port in ends.outputs.items()}
        return {**components.interface(inputs, outputs), "dag": self._dag(scope, ends.outputs, ends.taken)}

    def _dag(self, scope: Scope, outputs: dict[str, Port], taken: dict[str, list[tuple[str, str]]]) -> Document:
        ends = self._wiring.ends[scope.name]
        made: Document = {"tasks": {part.name: self._part(part, ends) for part in scope.parts}}
        if outputs:
            made["outputs"] = _outputs(outputs, taken, several=scope.kind == "branches")
        return made

    def _part(self, part: Task | Scope, around: Ends) -> Document:
        if isinstance(part, Scope):
            return tasks.of_scope(part, self._wiring, around)
        return tasks.of_task(part, self._graph.steps[part.step], self._wiring, self._images)


def _outputs(outputs: dict[str, Port], taken: dict[str, list[tuple[str, str]]], *, several: bool) -> Document:
    """Where a graph takes what it gives: from a task of its own, or from the first of `several` that ran."""
    made: Document = {}
    for name, port in outputs.items():
        key = "outputParameterKey" if port.is_parameter else "outputArtifactKey"
        selectors = [{"producerSubtask": part, key: output} for part, output in taken[name]]
        if not port.is_parameter:
            made.setdefault("artifacts", {})[name] = {"artifactSelectors": selectors}
        elif several:
            made.setdefault("parameters", {})[name] = {"valueFromOneof": {"parameterSelectors": selectors}}
        else:
            made.setdefault("parameters", {})[name] = {"valueFromParameter": selectors[0]}
    return made


def to_yaml(document: Document) -> str:
    """The text of a specification: the same bytes for the same document, what Kubernetes is told as a second one."""
    import yaml  # noqa: PLC0415 - start-up is a feature, and only this writes it

    class Plain(yaml.SafeDumper):  # type: ignore[misc, name-defined, unused-ignore]
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    spec = {name: value for name, value in document.items() if name != "platforms"}
    parts = [spec] + ([{"platforms": document["platforms"]}] if "platforms" in document else [])
    text: str = yaml.dump_all(parts, Dumper=Plain, sort_keys=True, allow_unicode=True, width=120)
    return text


def prove(document: Document) -> None:
    """Read a specification into Kubeflow's messages; raises UnsupportedError without the extra, or if they refuse."""
    try:
        from google.protobuf import json_format, struct_pb2  # noqa: PLC0415 - an extra
        from kfp.pipeline_spec import pipeline_spec_pb2 as messages  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            f"pipelines for Kubeflow are proved against its own messages, which are not here: {error}",
            "pip install 'tiffin[kubeflow]'",
        ) from error
    spec = {name: value for name, value in document.items() if name != "platforms"}
    try:
        json_format.ParseDict(spec, messages.PipelineSpec())
        json_format.ParseDict(spec["deploymentSpec"], messages.PipelineDeploymentConfig())
        json_format.ParseDict(document.get("platforms", {}), struct_pb2.Struct())
    except json_format.ParseError as error:
        raise UnsupportedError(
            f"Kubeflow's messages refuse the specification of {spec['pipelineInfo']['name']}: {error}",
            "report this: `tiffin pipeline compile` should have said what it is in pipeline.py",
        ) from error
