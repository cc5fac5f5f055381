"""Executors of compiled pipelines, as steps: what a component takes and gives, and the container that does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from tiffin.pipeline.graph import Argument, Command, Constant, Importer, Port, Resources, Source, Step
from tiffin.pipeline.kubeflow.document import Path
from tiffin.pipeline.kubeflow.inline import plain, type_of
from tiffin.pipeline.kubeflow.placeholders import Names, words_of
from tiffin.pipeline.kubeflow.quantities import quantity
from tiffin.pipeline.kubeflow.remarks import Remarks
from tiffin.pipeline.kubeflow.validate import Spec
from tiffin.pipeline.meaning.addresses import INPUT

ARTIFACT = "artifact"
"""What an importer calls what it gives."""
_SYSTEM = "system."
_GPUS = ("nvidia.com/gpu", "amd.com/gpu")
_GIGA = 10**9
_MAKERS = {"argostub/createpvc": "makes", "argostub/deletepvc": "removes"}
_WRITE = "write it into the pipeline's source, and compile it again"


def ports(definitions: dict[str, Any]) -> dict[str, Port]:
    """What a component, or a whole pipeline, takes or gives."""
    found = {}
    for name, port in definitions.get("parameters", {}).items():
        type_ = type_of(port)
        default = plain(port["defaultValue"], type_) if "defaultValue" in port else None
        found[name] = Port(
            type=type_,
            optional=bool(port.get("isOptional")),
            default=default,
            description=port.get("description", ""),
        )
    for name, port in definitions.get("artifacts", {}).items():
        found[name] = Port(
            type=artifact_type(port.get("artifactType", {})),
            many=bool(port.get("isArtifactList")),
            optional=bool(port.get("isOptional")),
            description=port.get("description", ""),
        )
    return found


def artifact_type(schema: dict[str, Any]) -> str:
    """An artifact's type without `system.`; one of somebody else's keeps the whole of its name."""
    title = schema.get("schemaTitle") or "system.Artifact"
    return str(title).removeprefix(_SYSTEM)


class Executors:
    """Makes a step of each component that has an executor."""

    def __init__(self, spec: Spec, remarks: Remarks) -> None:
        self._spec, self._remarks = spec, remarks

    def step(self, component: dict[str, Any], path: Path, name: str, further: frozenset[str]) -> Step:
        """The step of a component; `further` are inputs that tasks give it and that it does not declare."""
        label = component["executorLabel"]
        executor = self._spec.executors[label]
        where: Path = ("deploymentSpec", "executors", label)
        inputs = ports(component.get("inputDefinitions", {}))
        outputs = ports(component.get("outputDefinitions", {}))
        inputs |= {each: Port(type="str", optional=True) for each in sorted(further - inputs.keys())}
        step = Step(
            name=name,
            does=Command(argv=(), launcher=True),
            inputs=inputs,
            outputs=outputs,
            place=self._spec.place(path),
        )
        for each, port in outputs.items():
            if port.many:
                self._remarks.refuse(
                    (*path, "outputDefinitions", "artifacts", each),
                    "one task that gives a list of artifacts: the back end takes the first alone",
                    "give a folder, or loop over the list",
                )
        if "importer" in executor:
            return self._importer(step, executor["importer"], where)
        if "container" in executor:
            return self._container(step, executor["container"], where)
        kind = next(iter(executor), "nothing")
        self._remarks.refuse((*where, kind), f"an executor that runs {_KINDS.get(kind, kind)}", "use a container")
        return step

    def _container(self, step: Step, container: dict[str, Any], where: Path) -> Step:
        where = (*where, "container")
        image = container.get("image", "")
        self._image(image, (*where, "image"))
        names = Names(inputs=frozenset(step.inputs), outputs=frozenset(step.outputs))
        words = [word for field in ("command", "args") for word in self._words(container, field, names, where)]
        if not container.get("command") and image not in _MAKERS:
            self._remarks.refuse(
                where,
                "the container has no command: a cluster replaces the image's own",
                "give the component a command",
            )
        if "lifecycle" in container:
            self._remarks.tell((*where, "lifecycle"), "the check before the cache is not done, here as in the back end")
        return replace(
            step,
            does=Command(argv=tuple(words), image=image, launcher=True),
            env={each.get("name", ""): each.get("value", "") for each in container.get("env", ())},
            resources=self._resources(container.get("resources", {}), (*where, "resources")),
            network=True,
        )

    def _image(self, image: str, where: Path) -> None:
        if "{{$" in image:
            self._remarks.refuse(where, "an image that is known only when the task runs", _WRITE)
        elif image in _MAKERS:
            self._remarks.refuse(
                where,
                f"a task that {_MAKERS[image]} a volume of a cluster",
                "hand data on as artifacts, or use a workspace",
            )
        elif not image:
            self._remarks.refuse(where, "the container has no image", _WRITE)

    def _words(self, container: dict[str, Any], field: str, names: Names, where: Path) -> Iterator[Any]:
        for number, text in enumerate(container.get(field, ())):
            path = (*where, field, number)

            def unread(placeholder: str, path: Path = path) -> None:
                self._remarks.tell(path, f"`{placeholder}` stays as it is, as on a cluster")

            try:
                yield from words_of(text, names, unread)
            except ValueError as error:
                self._remarks.refuse(path, str(error), _WRITE)

    def _resources(self, given: dict[str, Any], where: Path) -> Resources:
        for name in ("cpuRequest", "memoryRequest", "resourceCpuRequest", "resourceMemoryRequest"):
            if name in given:
                self._remarks.tell((*where, name), "requests choose a machine; here only limits mean something")
        cpus = self._amount(given.get("resourceCpuLimit"), given.get("cpuLimit"), 1, (*where, "resourceCpuLimit"))
        memory = self._amount(
            given.get("resourceMemoryLimit"), given.get("memoryLimit"), _GIGA, (*where, "resourceMemoryLimit")
        )
        gpus = self._gpus(given.get("accelerator", {}), (*where, "accelerator"))
        return Resources(cpus=cpus, memory=int(memory), gpus=gpus)

    def _amount(self, text: str | None, number: float | None, scale: int, where: Path) -> float:
        """An amount that is written in the new way, or else in the old one."""
        if not text:
            return float(number or 0) * scale
        if "{{$" in text:
            self._remarks.refuse(where, f"a limit that is known only when the task runs: {text}", _WRITE)
            return 0.0
        try:
            return float(quantity(text))
        except ValueError as error:
            self._remarks.refuse(where, str(error), _WRITE)
            return 0.0

    def _gpus(self, accelerator: dict[str, Any], where: Path) -> int:
        kind = accelerator.get("resourceType") or accelerator.get("type", "")
        count = str(accelerator.get("resourceCount") or accelerator.get("count") or "")
        if not kind or not count:
            return 0
        if "{{$" in kind + count:
            self._remarks.refuse(where, "accelerators that are known only when the task runs", _WRITE)
        elif kind not in _GPUS:
            self._remarks.refuse(where, f"an accelerator {kind!r}", f"here there are {' and '.join(_GPUS)}")
        elif not count.isdecimal():
            self._remarks.refuse(where, f"{count!r} accelerators", "ask for a whole number")
        else:
            return int(count)
        return 0

    def _importer(self, step: Step, importer: dict[str, Any], where: Path) -> Step:
        where = (*where, "importer")
        address = importer.get("artifactUri", {})
        uri: Source = Constant(value=plain(address.get("constant", "")))
        if "runtimeParameter" in address:
            uri = Argument(name=address["runtimeParameter"])
        if importer.get("downloadToWorkspace"):
            self._remarks.refuse((*where, "downloadToWorkspace"), "an artifact that goes to the workspace", _IMPORT)
        metadata = plain(importer.get("metadata", {}))
        # What lies at an address may change: it is looked at each time, and what it is then is known by its content.
        # An importer may name an input that nobody declares it has; whoever calls it gives one anyway.
        inputs = {**({uri.name: Port(type="str")} if isinstance(uri, Argument) else {}), **step.inputs}
        return replace(step, does=Importer(uri=uri, metadata=metadata), inputs=inputs, network=True, cached=False)


_IMPORT = "import it as an artifact, and hand it on"
_KINDS = {"resolver": "a query (resolver)", "customJob": "a job of Vertex AI (customJob)", "nothing": "nothing"}


def named_in(executor: dict[str, Any]) -> frozenset[str]:
    """The input parameters that an executor's placeholders name."""
    return frozenset(match[1] or match[2] for text in _texts(executor) for match in INPUT.finditer(text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
