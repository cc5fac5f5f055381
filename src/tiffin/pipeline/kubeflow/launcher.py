"""What Kubeflow's launcher does around a component's program (`backend/src/v2/component/launcher_v2.go`), done here.

A task's artifacts have the addresses that a cluster gives them, and lie where the launcher has them: `minio://B/K` at
`/minio/B/K`, and so for gs, s3 and oci. Its values are written to `/tmp/kfp/outputs/NAME`; what else it has to say,
to `/tmp/kfp_outputs/output_metadata.json`. `launch` decides, from an order alone, how the program is run; when it has
ended, `collect` takes what it left to where an order leaves its outputs.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tiffin.engine.spec import Mount
from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Command, Executor, IfGiven, InputPath, Joined, OutputPath, Port, Value, Word
from tiffin.pipeline.kubeflow.kinds import schema
from tiffin.pipeline.kubeflow.placeholders import WORKSPACE
from tiffin.pipeline.meaning.rendering import message, rendered
from tiffin.pipeline.workbench import FILES, VALUES, Input, Order

ROOT = "minio://mlpipeline/v2/artifacts"
"""Where a cluster keeps what tasks give, if nobody says otherwise."""
OUTPUTS = "/tmp/kfp/outputs"  # noqa: S108 - the container's own
ANSWERS = "/tmp/kfp_outputs"  # noqa: S108 - the container's own
ANSWER = "output_metadata.json"
TOLD = "launcher"
"""The folder of an order's own that the program's answer is left in."""
URI = "kubeflow.uri"
"""The fact about an artifact that says its address, where the program gave it one."""

_LOCAL = {"gs": "/gcs", "minio": "/minio", "s3": "/s3"}
_ROUNDS = re.compile(r"\[([\d,]+)\]")
_FAILED = 9
"""The code of a task that failed, as gRPC counts them: FAILED_PRECONDITION."""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is besides its orders: the pipeline's name, and where artifacts are said to be.

    `workspaces` has a folder for each run that its tasks share, where the pipeline asks for one.
    """

    pipeline: str
    root: str = ROOT
    workspaces: Path | None = None

    def workspace(self, order: Order) -> Path | None:
        """The folder that an order shares with all others of its run."""
        return None if self.workspaces is None else (self.workspaces / order.run).absolute()


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How a component's program is run: what an order's container needs beside its image.

    `folders` are those that are mounted writable, and have to be there. Its root may be written to, as a pod's may.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    mounts: tuple[Mount, ...]
    folders: tuple[Path, ...]


def launch(order: Order, where: Where) -> Launch:
    """Decide how an order's program is run; raises UnsupportedError for an order that no launcher does."""
    does = order.step.does
    if not isinstance(does, Command) or not does.launcher:
        raise UnsupportedError(f"{order.step.place}: {order.step.name} is no component", "run it as a step")
    seen = _Seen(order, where)
    mounts = tuple(_mounts(seen, order, where))
    return Launch(
        argv=tuple(text for word in does.argv for text in seen.texts(word)),
        env=dict(order.step.env) | _identity(order),
        mounts=mounts,
        folders=tuple(Path(mount.source) for mount in mounts if not mount.read_only),
    )


def local_path(uri: str) -> str:
    """Where the launcher has what lies at an address; empty for an address of which it knows no place."""
    scheme, separator, rest = uri.partition("://")
    if not separator or ".." in PurePosixPath(rest).parts:
        return ""
    if scheme == "oci":
        return f"/oci/{rest.replace('/', '_')}/models"
    if scheme not in _LOCAL:
        return ""
    return f"{_LOCAL[scheme]}/{rest}"


def task_uri(order: Order, where: Where) -> str:
    """The address that a task's artifacts lie under; rounds of loops have folders of their own."""
    task = _ROUNDS.sub(lambda rounds: f"/{rounds[1].replace(',', '/')}", order.task)
    return f"{where.root.rstrip('/')}/{where.pipeline}/{order.run}/{task}"


def input_uri(given: Input, where: Where) -> str:
    """The address of an input: its own, or else one by its content, that is the same in every run."""
    own = given.uri or str(given.metadata.get(URI, ""))
    if local_path(own):
        return own
    return (
        f"{where.root.rstrip('/')}/{where.pipeline}/{given.digest.hex}/{PurePosixPath(given.name).name or 'artifact'}"
    )


def effective_values(order: Order) -> dict[str, Any]:
    """What parameters the program is given: those of the order, and the component's defaults."""
    defaults = {name: port.default for name, port in order.step.inputs.items() if port.default is not None}
    given = {name: value for name, value in order.values.items() if value is not None}
    own = {
        "{{$.pipeline_job_name}}": order.run,
        "{{$.pipeline_job_resource_name}}": order.run,
        "{{$.pipeline_job_uuid}}": _identifier(order.run),
        "{{$.pipeline_task_name}}": order.task,
        "{{$.pipeline_task_uuid}}": _identifier(order.run, order.task),
    }
    ports = order.step.inputs
    return {
        name: _status(value, order)
        if _is_status(ports.get(name))
        else own.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in (defaults | given).items()
    }


def _is_status(port: Port | None) -> bool:
    return port is not None and port.type == "status"


def _status(value: Any, order: Order) -> Any:
    """How something ended, as Kubeflow says it (`PipelineTaskFinalStatus`)."""
    if not isinstance(value, Mapping) or "pipelineJobResourceName" in value:
        return value
    error = value.get("error")
    return {
        "state": value.get("state", ""),
        "pipelineJobResourceName": order.run,
        "pipelineTaskName": str(value.get("task", "")),
        "error": {"code": _FAILED, "message": str(error)} if error else {},
    }


class _Seen:
    """What the program of one order sees: addresses, paths, and the text of each word."""

    def __init__(self, order: Order, where: Where) -> None:
        self.values = effective_values(order)
        self.inputs = {name: [(each, input_uri(each, where)) for each in given] for name, given in order.inputs.items()}
        self.task = task_uri(order, where)
        self._ports = order.step.outputs

    def texts(self, word: str | Word) -> Iterator[str]:
        """The arguments that a word is: one, unless it depends on an input."""
        if isinstance(word, IfGiven):
            is_there = word.input in self.values or bool(self.inputs.get(word.input))
            for each in word.then if is_there else word.otherwise:
                yield from self.texts(each)
        else:
            yield word if isinstance(word, str) else self._text(word)

    def _text(self, word: Value | InputPath | OutputPath | Executor | Joined) -> str:
        match word:
            case Joined(words=words):
                return "".join(text for each in words for text in self.texts(each))
            case Value(input=name):
                # As on a cluster, nothing takes the place of what is not given.
                return rendered(self.values[name]) if name in self.values else f"{{{{$.inputs.parameters['{name}']}}}}"
            case InputPath(input=name, uri=uri):
                return self._input(name, uri=uri)
            case OutputPath(output=name, uri=uri):
                return self._output(name, uri=uri)
            case Executor(answer=True):
                return f"{ANSWERS}/{ANSWER}"
            case Executor():
                return self.executor_input()

    def _input(self, name: str, *, uri: bool) -> str:
        found = self.inputs.get(name)
        if not found:
            return f"{{{{$.inputs.artifacts['{name}'].{'uri' if uri else 'path'}}}}}"
        return found[0][1] if uri else local_path(found[0][1])

    def _output(self, name: str, *, uri: bool) -> str:
        if self._ports[name].is_parameter:
            return f"{OUTPUTS}/{name}"
        address = f"{self.task}/{name}"
        return address if uri else local_path(address)

    def executor_input(self) -> str:
        """Kubeflow's `ExecutorInput` as JSON."""
        values = {name: port for name, port in self._ports.items() if port.is_parameter}
        files = {name: port for name, port in self._ports.items() if not port.is_parameter}
        artifacts = {
            name: {"artifacts": [_artifact(each, uri) for each, uri in found]} for name, found in self.inputs.items()
        }
        outputs = {
            name: {
                "artifacts": [{"name": name, "type": schema(port.type), "uri": f"{self.task}/{name}", "metadata": {}}]
            }
            for name, port in files.items()
        }
        return message(
            {
                "inputs": _filled({"parameterValues": self.values, "artifacts": artifacts}),
                "outputs": _filled(
                    {
                        "parameters": {name: {"outputFile": f"{OUTPUTS}/{name}"} for name in values},
                        "artifacts": outputs,
                        "outputFile": f"{ANSWERS}/{ANSWER}",
                    }
                ),
            }
        )


def _filled(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value}


def _artifact(given: Input, uri: str) -> dict[str, Any]:
    facts = {name: fact for name, fact in given.metadata.items() if name != URI}
    return {"name": given.name, "type": schema(given.type), "uri": uri, "metadata": facts}


def _identity(order: Order) -> dict[str, str]:
    """Who the program is told that it is."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{order.run}-{order.task}-{order.attempt}".lower()).strip("-.")
    return {
        "KFP_POD_NAME": name,
        "KFP_POD_UID": _identifier(order.run, order.task, str(order.attempt)),
        "KFP_RETRY_INDEX": str(order.attempt - 1),
    }


def _identifier(*parts: str) -> str:
    """An identifier that is the same whenever it is asked for."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("kubeflow:", *parts))))


def _mounts(seen: _Seen, order: Order, where: Where) -> Iterator[Mount]:
    found: dict[str, Mount] = {}
    for given in seen.inputs.values():
        for each, uri in given:
            target = local_path(uri)
            found.setdefault(target, Mount(source=str(each.path.absolute()), target=target))
    yield from found.values()
    folder = order.folder.absolute()
    for name, target in ((FILES, local_path(seen.task)), (VALUES, OUTPUTS), (TOLD, ANSWERS)):
        yield Mount(source=str(folder / name), target=target, read_only=False)
    if any(isinstance(value, str) and WORKSPACE in value for value in seen.values.values()):
        workspace = where.workspace(order)
        if workspace is None:
            raise UnsupportedError(
                f"{order.step.place}: {order.task} is given a path of a workspace, and its pipeline asks for none",
                "ask for one: dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size='1Gi'))",
            )
        yield Mount(source=str(workspace), target=WORKSPACE, read_only=False)
