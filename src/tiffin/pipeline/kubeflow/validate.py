"""Compiled Kubeflow pipelines (PipelineSpec 2.1.0 and 2.0.0), checked: by its own messages, then by what they mean.

The messages are of kfp-pipeline-spec, which the extra `kubeflow` brings; they refuse fields that nobody knows. What a
pipeline may say but nobody can run is no business of this module (`read`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from typing import Any

import msgspec

from tiffin.errors import ConfigError, UnsupportedError
from tiffin.pipeline.graph import Place
from tiffin.pipeline.kubeflow.document import Document, Path, line_of, place_of, read_documents

SCHEMAS = ("2.1.0", "2.0.0")
_SHOWN = 5
_AGAIN = "correct the pipeline's source and compile it again"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled pipeline with the names of its messages' JSON form; `kubernetes` is its second document's platform."""

    file: str
    pipeline: dict[str, Any]
    executors: dict[str, Any]
    kubernetes: dict[str, Any]
    lines: dict[Path, int]
    platform_lines: dict[Path, int]

    def component(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The component that a task calls."""
        found: dict[str, Any] = self.pipeline["components"][task["componentRef"]["name"]]
        return found

    def place(self, path: Path) -> Place:
        """Where in the file something stands; paths of the second document begin with `platforms`."""
        lines = self.platform_lines if path[:1] == ("platforms",) else self.lines
        return Place(file=self.file, line=line_of(lines, path))

    def at(self, path: Path) -> str:
        """The same for people: `file:line`, to begin a message with."""
        return str(self.place(path))


def read_spec(text: str, file: str) -> Spec:
    """Read and check a compiled pipeline.

    Raises ConfigError with each thing that is wrong and its place, UnsupportedError where the extra is not installed.
    """
    pipeline, platform = _sort_out(read_documents(text, file), file)
    value = _parsed("PipelineSpec", pipeline, (), file)
    config = Document(value=value.get("deploymentSpec", {}), lines=pipeline.lines)
    platforms = _parsed("PlatformSpec", platform, (), file).get("platforms", {}) if platform else {}
    others = sorted(set(platforms) - {"kubernetes"})
    if others:
        raise ConfigError(f"{file}: a platform that is not known: {others[0]} - at platforms", _AGAIN)
    spec = Spec(
        file=file,
        pipeline=value | {"components": value.get("components", {})},
        executors=_parsed("PipelineDeploymentConfig", config, ("deploymentSpec",), file).get("executors", {}),
        kubernetes=platforms.get("kubernetes", {}),
        lines=pipeline.lines,
        platform_lines=platform.lines if platform else {},
    )
    _refuse(spec, list(_Checks(spec).problems()))
    return spec


def _sort_out(documents: list[Document], file: str) -> tuple[Document, Document | None]:
    """Tell the pipeline from what goes with it."""
    if not documents:
        raise ConfigError(f"{file} is empty: no pipeline is in it", "compile one, or name another file")
    for document in documents:
        if not isinstance(document.value, dict):
            line = line_of(document.lines, ())
            raise ConfigError(f"{file}:{line}: a {type(document.value).__name__}, and no pipeline", "name another file")
    platforms = [document for document in documents if "platforms" in document.value]
    pipelines = [document for document in documents if "platforms" not in document.value]
    if len(pipelines) != 1 or len(platforms) > 1:
        raise ConfigError(
            f"{file} has {len(pipelines)} pipelines and {len(platforms)} platforms",
            "a compiled pipeline has one document, and a second one at most, with `platforms`",
        )
    return pipelines[0], next(iter(platforms), None)


def _parsed(message: str, document: Document, path: Path, file: str) -> dict[str, Any]:
    """A document as a message of this name reads it, with the names that its JSON form has."""
    try:
        json_format = import_module("google.protobuf.json_format")
        messages = import_module("kfp.pipeline_spec.pipeline_spec_pb2")
    except ImportError as error:
        raise UnsupportedError(
            f"reading {file} needs the messages of Kubeflow Pipelines, which are not installed ({error})",
            "pip install 'tiffin[kubeflow]'",
        ) from error
    try:
        parsed = json_format.ParseDict(document.value, getattr(messages, message)())
        return dict(_as_written(json_format.MessageToDict(parsed), document.value))
    except (json_format.ParseError, json_format.SerializeToJsonError, AttributeError, TypeError, ValueError) as error:
        reason, inner = _explain(error, message)
        where = (*path, *inner)
        at = f" - at {place_of(where)}" if where else ""
        line = line_of(document.lines, where)
        raise ConfigError(f"{file}:{line}: not a {message}: {reason}{at}", _AGAIN) from error


def _as_written(parsed: Any, written: Any) -> Any:
    """A message's values in the order that they were written: maps of protobuf have none."""
    if isinstance(parsed, dict):
        order = {name: number for number, name in enumerate(written)} if isinstance(written, dict) else {}
        names = sorted(parsed, key=lambda name: (order.get(name, len(order)), name))
        return {name: _as_written(parsed[name], written[name] if name in order else None) for name in names}
    if isinstance(parsed, list):
        several = written if isinstance(written, list) and len(written) == len(parsed) else [None] * len(parsed)
        return [_as_written(*each) for each in zip(parsed, several, strict=True)]
    return parsed


def _explain(error: Exception, message: str) -> tuple[str, Path]:
    """What protobuf says about a message, and where in it: it names the place as `PipelineSpec.root.dag`."""
    text = " ".join(str(error).split())
    text = text.rpartition("field: ")[2].partition(" Available Fields")[0].rstrip(".")
    before, marker, place = text.rpartition(' at "')
    if not marker:
        return text, ()
    names = place.rstrip('".').removeprefix(message).strip(".")
    return before, tuple(part for part in names.replace("[", ".").replace("]", "").split(".") if part)


def _refuse(spec: Spec, problems: list[tuple[Path, str]]) -> None:
    if not problems:
        return
    lines = [f"{spec.at(path)}: {reason} - at {place_of(path)}" for path, reason in problems]
    more = f"\n… and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    raise ConfigError("\n".join(lines[:_SHOWN]) + more, _AGAIN)


Problem = tuple[Path, str]


class _Checks:
    """What the messages cannot say: that each name leads somewhere, and nothing to itself."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._components = spec, spec.pipeline["components"]

    def problems(self) -> Iterator[Problem]:
        pipeline = self._spec.pipeline
        version = pipeline.get("schemaVersion", "")
        if version not in SCHEMAS:
            yield ("schemaVersion",), f"{version!r} is not a version that is read: {' and '.join(SCHEMAS)} are"
        if not pipeline.get("pipelineInfo", {}).get("name"):
            yield ("pipelineInfo", "name"), "the pipeline has no name"
        root = pipeline.get("root", {})
        if not root.get("dag", {}).get("tasks"):
            yield ("root", "dag", "tasks"), "the pipeline has no task"
        for name, component in self._components.items():
            yield from self._component(name, component)
        for path, component in self._dags():
            yield from self._dag(component, path)
        yield from self._recursion()

    def _dags(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield ("root",), self._spec.pipeline.get("root", {})
        for name, component in self._components.items():
            yield ("components", name), component

    def _component(self, name: str, component: dict[str, Any]) -> Iterator[Problem]:
        label = component.get("executorLabel")
        if label is not None and label not in self._spec.executors:
            yield ("components", name, "executorLabel"), f"there is no executor {label!r}"
        if label is None and not component.get("dag", {}).get("tasks"):
            yield ("components", name), "the component has no executor, and no tasks"

    def _dag(self, component: dict[str, Any], path: Path) -> Iterator[Problem]:
        tasks = component.get("dag", {}).get("tasks", {})
        for name, task in tasks.items():
            where = (*path, "dag", "tasks", name)
            reference = task.get("componentRef", {}).get("name", "")
            if reference not in self._components:
                yield (*where, "componentRef", "name"), f"there is no component {reference!r}"
                continue
            for upstream in task.get("dependentTasks", ()):
                if upstream not in tasks:
                    yield (*where, "dependentTasks"), f"there is no task {upstream!r} beside it"
            yield from self._inputs(component, task, where)
            yield from self._iterator(task, where)
        yield from self._outputs(component, path)
        yield from self._cycles(tasks, path)

    def _inputs(self, component: dict[str, Any], task: dict[str, Any], where: Path) -> Iterator[Problem]:
        own = component.get("inputDefinitions", {})
        tasks = component["dag"]["tasks"]
        for kind, given in task.get("inputs", {}).items():
            for name, source in given.items():
                path = (*where, "inputs", kind, name)
                outer = source.get("componentInputParameter", source.get("componentInputArtifact"))
                if outer is not None and outer not in own.get(kind, {}):
                    yield path, f"there is no input {outer!r} around it"
                for field, key in _PRODUCED.items():
                    if field in source:
                        told = source[field]
                        yield from self._produced(tasks, told.get("producerTask", ""), kind, told.get(key, ""), path)
                status = source.get("taskFinalStatus")
                if status is not None and status.get("producerTask") not in tasks:
                    yield path, f"there is no task {status.get('producerTask', '')!r} beside it"
        yield from self._missing(task, where)

    def _missing(self, task: dict[str, Any], where: Path) -> Iterator[Problem]:
        """Inputs that somebody must give, and nobody does."""
        iterators = (task.get("parameterIterator", {}), task.get("artifactIterator", {}))
        items = {iterator.get("itemInput") for iterator in iterators}
        definitions = self._spec.component(task).get("inputDefinitions", {})
        for kind, declared in definitions.items():
            given = task.get("inputs", {}).get(kind, {})
            for name, port in declared.items():
                needed = not port.get("isOptional") and "defaultValue" not in port
                if needed and name not in given and name not in items:
                    yield (*where, "inputs"), f"its input {name!r} is not given"

    def _produced(self, tasks: dict[str, Any], producer: str, kind: str, key: str, path: Path) -> Iterator[Problem]:
        if producer not in tasks:
            yield path, f"there is no task {producer!r} beside it"
            return
        reference = tasks[producer].get("componentRef", {}).get("name", "")
        if reference in self._components:
            gives = self._components[reference].get("outputDefinitions", {}).get(kind, {})
            if key not in gives:
                yield path, f"task {producer!r} has no output {key!r} among its {kind}"

    def _iterator(self, task: dict[str, Any], where: Path) -> Iterator[Problem]:
        inputs = task.get("inputs", {})
        for kind, name, field in _ITERATORS:
            iterator = task.get(name)
            if iterator is None:
                continue
            items = iterator.get("items", {})
            if field in items and items[field] not in inputs.get(kind, {}):
                yield (*where, name, "items"), f"there is no input {items[field]!r} to take items from"
            declared = self._spec.component(task).get("inputDefinitions", {}).get(kind, {})
            if iterator.get("itemInput") not in declared:
                yield (*where, name, "itemInput"), f"there is no input {iterator.get('itemInput', '')!r} for the item"

    def _outputs(self, component: dict[str, Any], path: Path) -> Iterator[Problem]:
        dag = component.get("dag", {})
        for kind, given in dag.get("outputs", {}).items():
            for name, selector in given.items():
                where = (*path, "dag", "outputs", kind, name)
                for producer, key in selected(selector):
                    yield from self._produced(dag.get("tasks", {}), producer, kind, key, where)

    def _cycles(self, tasks: dict[str, Any], path: Path) -> Iterator[Problem]:
        try:
            in_order(tasks)
        except ValueError as error:
            yield (*path, "dag", "tasks"), f"the tasks wait for each other: {error}"

    def _recursion(self) -> Iterator[Problem]:
        calls = {
            name: {
                "dependentTasks": sorted(
                    task.get("componentRef", {}).get("name", "")
                    for task in component.get("dag", {}).get("tasks", {}).values()
                )
            }
            for name, component in self._components.items()
        }
        try:
            in_order(calls)
        except ValueError as error:
            yield ("components",), f"components contain each other: {error}"


_PRODUCED = {"taskOutputParameter": "outputParameterKey", "taskOutputArtifact": "outputArtifactKey"}
_ITERATORS = (
    ("parameters", "parameterIterator", "inputParameter"),
    ("artifacts", "artifactIterator", "inputArtifact"),
)


def selected(selector: dict[str, Any]) -> list[tuple[str, str]]:
    """The tasks and their outputs that an output of a group of tasks is taken from: the first that is there."""
    if "valueFromParameter" in selector:
        chosen = [selector["valueFromParameter"]]
    elif "valueFromOneof" in selector:
        chosen = selector["valueFromOneof"].get("parameterSelectors", [])
    else:
        chosen = selector.get("artifactSelectors", [])
    return [
        (each.get("producerSubtask", ""), each.get("outputParameterKey", each.get("outputArtifactKey", "")))
        for each in chosen
    ]


def upstream_of(task: dict[str, Any]) -> list[str]:
    """The tasks beside it that a task comes after, by what is written or by what it takes."""
    found = list(task.get("dependentTasks", ()))
    for given in task.get("inputs", {}).values():
        for source in given.values():
            fields = (field for field in (*_PRODUCED, "taskFinalStatus") if field in source)
            found += [source[field].get("producerTask", "") for field in fields]
    return list(dict.fromkeys(found))


def in_order(tasks: dict[str, Any]) -> list[str]:
    """The tasks, each after those that it comes after, else as they were written; raises ValueError with a cycle."""
    order = TopologicalSorter(
        {name: [each for each in upstream_of(task) if each in tasks] for name, task in tasks.items()}
    )
    try:
        return list(order.static_order())
    except CycleError as error:
        raise ValueError(" → ".join(reversed(error.args[1]))) from error
