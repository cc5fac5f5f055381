"""Plan an image: a pure function of what was written, locked and found on disk. The plan's digest is its cache key."""

from __future__ import annotations

import msgspec

from tiffin import __version__
from tiffin.build.group import BYTECODE_BUCKETS, buckets, group_weights, group_wheels
from tiffin.build.recipes import (
    AnyRecipe,
    Base,
    Code,
    Interpreter,
    Metadata,
    Packages,
    Server,
    SourceFile,
    StandardBytecode,
    WheelBytecode,
    Wheels,
)
from tiffin.build.sbom import CYCLONEDX, SPDX, Contents, cyclonedx, spdx
from tiffin.config.project import Project
from tiffin.oci.digest import Digest
from tiffin.oci.documents import RunConfig, encode
from tiffin.oci.platform import Platform
from tiffin.packages.pins import DebPin, WheelPin

USER = 65532
PORTS = {"http": 8080, "grpc": 8081, "metrics": 8082}
SERVICE = "opt/tiffin/service.json"
SERVICE_SCHEMA = 1
CREATED = "1980-01-01T00:00:00Z"
"""When every image says it was made: a clock would give the same input other bytes."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of an image, as the lock pins them."""

    suite: str
    python: str
    platform: Platform
    base: tuple[DebPin, ...]
    interpreter: tuple[DebPin, ...]
    packages: tuple[DebPin, ...] = ()
    wheels: tuple[WheelPin, ...]


class ServerParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the server layer is made of, for one interpreter and platform."""

    files: tuple[SourceFile, ...]
    wheels: tuple[WheelPin, ...]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What is the user's own: the model's format, its weights and the code, as paths in the image."""

    format: str
    weights: tuple[SourceFile, ...]
    code: tuple[SourceFile, ...]


class BuildPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides an image's bytes: ordered layer recipes, bottom first, and how it runs."""

    name: str
    platform: Platform
    recipes: tuple[AnyRecipe, ...]
    run: RunConfig
    annotations: dict[str, str]

    @property
    def digest(self) -> Digest:
        """The cache key of the whole image."""
        return Digest.of(encode(self))


def plan_image(project: Project, environment: Environment, server: ServerParts, payload: Payload) -> BuildPlan:
    """Plan the image of a project."""
    interpreter = Interpreter(python=environment.python, packages=environment.interpreter)
    built = interpreter.key if project.image.bytecode else None
    recipes: list[AnyRecipe] = [
        Base(suite=environment.suite, packages=environment.base),
        interpreter,
        *([Packages(packages=environment.packages)] if environment.packages else []),
        *([StandardBytecode(python=environment.python, packages=environment.interpreter)] if built else []),
        *(Wheels(wheels=group) for group in group_wheels(environment.wheels)),
        *(_bytecode(environment, built) if built else []),
        Server(python=environment.python, files=server.files, wheels=server.wheels, interpreter=built),
        *group_weights(payload.weights),
        *([Code(files=payload.code)] if payload.code else []),
        Metadata(texts=_texts(project, environment, server, payload)),
    ]
    return BuildPlan(
        name=project.name,
        platform=environment.platform,
        recipes=tuple(recipes),
        run=_run(project, environment, payload),
        annotations=_annotations(project, environment),
    )


def _bytecode(environment: Environment, built: Digest) -> list[WheelBytecode]:
    groups = buckets(environment.wheels, BYTECODE_BUCKETS)
    return [WheelBytecode(interpreter=built, python=environment.python, wheels=group) for group in groups]


def _texts(project: Project, environment: Environment, server: ServerParts, payload: Payload) -> dict[str, str]:
    """Write what the image knows of itself."""
    contents = Contents(
        name=project.name,
        version=project.model.version,
        python=environment.python,
        suite=environment.suite,
        created=CREATED,
        debs=environment.base + environment.interpreter + environment.packages,
        wheels=environment.wheels,
        server=server.wheels,
        models=(),  # the manifest names the weights by digest; here they would let every retrain move this layer too
    )
    return {SERVICE: service_text(project, payload), CYCLONEDX: cyclonedx(contents), SPDX: spdx(contents)}


def service_text(project: Project, payload: Payload) -> str:
    """Write the document that tells the server what to load and how to serve it (spec/service.schema.json)."""
    serve = project.serve
    service = {
        "schema": SERVICE_SCHEMA,
        "name": project.name,
        "version": project.model.version,
        "model": {
            "format": payload.format,
            "path": model_path(payload),
            "predictor": project.model.predictor,
        },
        "code": "/app",
        "worker": ["/opt/venv/bin/python", "/opt/tiffin/worker"],
        "serve": {
            "max_batch": serve.max_batch,
            "max_delay_ms": serve.max_delay_ms,
            "max_body_bytes": serve.max_body_bytes,
            "drain_seconds": serve.drain_seconds,
            "load_seconds": serve.load_seconds,
        },
    }
    return msgspec.json.format(encode(service)).decode() + "\n"


def model_path(payload: Payload) -> str:
    """Where the worker finds the model: the one file, ONNX's graph among its data, or the folder of several."""
    alone = [file for file in payload.weights if payload.format != "onnx" or file.path.endswith(".onnx")]
    if len(alone) == 1:
        return "/" + alone[0].path
    return "/models"


def _run(project: Project, environment: Environment, payload: Payload) -> RunConfig:
    return RunConfig(
        user=f"{USER}:{USER}",
        exposed_ports={f"{port}/tcp": {} for port in PORTS.values()},
        env=[
            "PATH=/opt/venv/bin:/usr/bin:/bin",
            "LANG=C.UTF-8",
            "HOME=/tmp",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONUNBUFFERED=1",
        ],
        entrypoint=[f"/usr/bin/python{environment.python}", "-I", "-S", "/opt/tiffin/front"],
        cmd=["all"],
        working_dir="/app",
        labels={
            "dev.tiffin.format": payload.format,
            "dev.tiffin.python": environment.python,
            "dev.tiffin.sockets": ",".join(f"{name}={port}" for name, port in PORTS.items()),
            "dev.tiffin.version": __version__,
            **_annotations(project, environment),
        },
        stop_signal="SIGTERM",
    )


def _annotations(project: Project, environment: Environment) -> dict[str, str]:
    """Predefined annotation keys of the image-spec (annotations.md)."""
    return {
        "org.opencontainers.image.title": project.name,
        "org.opencontainers.image.version": project.model.version,
        "org.opencontainers.image.base.name": f"debian:{environment.suite}",
    }
