"""Plan an image: a pure function of what was written, locked and found on disk. The plan's digest is its cache key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tiffin import __version__
from tiffin.build.carried import LOCK, PROJECT, project_text
from tiffin.build.conversion import Conversion
from tiffin.build.cuda import cuda_labels
from tiffin.build.foundation import Foundation
from tiffin.build.group import (
    BYTECODE_BUCKETS,
    buckets,
    group_weights,
    group_wheels,
    refuse_beyond,
    yields_to,
)
from tiffin.build.recipes import AnyRecipe, Code, Grpc, Metadata, Server, SourceFile, WheelBytecode, Wheels
from tiffin.build.sbom import CYCLONEDX, SPDX, BaseRef, Contents, cyclonedx, spdx
from tiffin.config.checks import CheckTexts
from tiffin.config.project import Project
from tiffin.engine.declared import Data
from tiffin.engine.declared import labels as declared_labels
from tiffin.engine.plan import ENVIRONMENT
from tiffin.layers.overlap import Overlap
from tiffin.oci.digest import Digest
from tiffin.oci.documents import RunConfig, encode
from tiffin.oci.platform import Platform
from tiffin.packages.pins import WheelPin

USER = 65532
PORTS = {"http": 8080, "grpc": 8081, "metrics": 8082}
SERVICE = "opt/tiffin/service.json"
BASELINE = "opt/tiffin/baseline.json"
CHECKS = "opt/tiffin/checks"
SERVICE_SCHEMA = 1
CREATED = "1980-01-01T00:00:00Z"
"""When every image says it was made: a clock would give the same input other bytes."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What an image stands on and its packages, as the lock pins them; `lock` is its text, as the image carries it."""

    lock: str
    foundation: Foundation
    platform: Platform
    wheels: tuple[WheelPin, ...]
    overlaps: tuple[Overlap, ...] = ()


class ServerParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the server is made of, for one interpreter and platform; `grpc`, where wanted, is a layer of its own."""

    files: tuple[SourceFile, ...]
    wheels: tuple[WheelPin, ...]
    grpc: tuple[WheelPin, ...] = ()


PYTHON = "dev.tiffin.python"
"""The label that says which Python an image has."""
_SERVED = 4
"""Layers that a served image has above its packages where the model is small: server, weights, code, metadata."""
WEIGHTS = "dev.tiffin.weights"
"""The label of an image whose weights go to registries as an image of their own as well."""


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What is the user's own: the model's format, its weights and the code, as paths in the image.

    `conversion` says what the weights were made of, where they are not what was trained, and `baseline` what the server
    is told of the training data, which is no part of the image itself.
    """

    format: str
    weights: tuple[SourceFile, ...]
    code: tuple[SourceFile, ...]
    baseline: str = ""
    checks: tuple[CheckTexts, ...] = ()
    conversion: Conversion | None = None


class BuildPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that decides an image's bytes: ordered layer recipes, bottom first, and how it runs."""

    name: str
    platform: Platform
    recipes: tuple[AnyRecipe, ...]
    run: RunConfig
    annotations: dict[str, str]
    conversion: Conversion | None = None

    @property
    def digest(self) -> Digest:
        """The cache key of the whole image."""
        return Digest.of(encode(self))


def plan_image(project: Project, environment: Environment, server: ServerParts, payload: Payload) -> BuildPlan:
    """Plan the image of a project."""
    above: list[AnyRecipe] = [
        *_server(project, environment.foundation, server),
        *group_weights(payload.weights),
        *([Code(files=payload.code)] if payload.code else []),
        Metadata(texts=_texts(project, environment, server, payload)),
    ]
    recipes = _on_packages(project, environment, len(above)) + _linked(above, environment.foundation)
    refuse_beyond(project.image.layers, recipes)
    return BuildPlan(
        name=project.name,
        platform=environment.platform,
        recipes=tuple(recipes),
        run=_run(project, environment, payload),
        annotations=_annotations(project, environment),
        conversion=payload.conversion,
    )


def plan_environment(project: Project, environment: Environment) -> BuildPlan:
    """Plan the image that a project's steps are done in: what its own image stands on, layer for layer, and no more.

    Neither the project's name nor the version of its model or of tiffin is in it: results are known by its digest.
    """
    foundation = environment.foundation
    recipes = _on_packages(project, environment, _SERVED + project.serve.grpc)
    refuse_beyond(project.image.layers, recipes)
    return BuildPlan(
        name=f"the environment of {project.name}",
        platform=environment.platform,
        recipes=tuple(recipes),
        run=RunConfig(
            user=f"{USER}:{USER}",
            env=_env(foundation),
            labels={PYTHON: foundation.python, ENVIRONMENT: "1", **cuda_labels(environment.wheels)},
            stop_signal="SIGTERM",
        ),
        annotations=_base_annotations(foundation),
    )


def plan_below_weights(project: Project, environment: Environment, server: ServerParts) -> list[AnyRecipe]:
    """Plan what an image of a project has below the weights of a small model, which no training changes."""
    above = _server(project, environment.foundation, server)
    room = _SERVED + project.serve.grpc
    return _on_packages(project, environment, room) + _linked(above, environment.foundation)


def _server(project: Project, foundation: Foundation, server: ServerParts) -> list[AnyRecipe]:
    built = foundation.interpreter if project.image.bytecode else None
    own = Server(python=foundation.python, files=server.files, wheels=server.wheels, interpreter=built)
    grpc = Grpc(python=foundation.python, files=(), wheels=server.grpc, interpreter=built)
    return [own, grpc] if server.grpc else [own]


def _on_packages(project: Project, environment: Environment, above: int) -> list[AnyRecipe]:
    """What is alike in the image of a project and in its environment, `above` which that many layers come."""
    foundation = environment.foundation
    below = [*foundation.roots, *foundation.above]
    built = foundation.interpreter if project.image.bytecode else None
    library = [foundation.library] if built else []
    bytecode = _bytecode(environment, built) if built else []
    room = project.image.layers - len(below) - len(library) - len(bytecode) - above
    wheels = _wheels(environment, room, slim=project.image.slim)
    return [*below, *_linked([*library, *wheels, *bytecode], foundation)]


def _linked(recipes: Iterable[AnyRecipe], foundation: Foundation) -> list[AnyRecipe]:
    return [msgspec.structs.replace(recipe, links=foundation.links) for recipe in recipes]


def _wheels(environment: Environment, room: int, *, slim: bool) -> list[Wheels]:
    wheels, overlaps = environment.wheels, environment.overlaps
    return [
        Wheels(wheels=group, yields_to=yields_to(group, wheels, overlaps), slim=slim)
        for group in group_wheels(wheels, room)
    ]


def _bytecode(environment: Environment, built: Digest) -> list[WheelBytecode]:
    wheels, overlaps, python = environment.wheels, environment.overlaps, environment.foundation.python
    return [
        WheelBytecode(interpreter=built, python=python, wheels=group, yields_to=yields_to(group, wheels, overlaps))
        for group in buckets(wheels, BYTECODE_BUCKETS)
    ]


def _texts(project: Project, environment: Environment, server: ServerParts, payload: Payload) -> dict[str, str]:
    """Write what the image knows of itself."""
    contents = Contents(
        name=project.name,
        version=project.model.version,
        python=environment.foundation.python,
        program="" if environment.foundation.is_packaged else environment.foundation.program,
        suite=environment.foundation.suite,
        base=_base(environment.foundation),
        created=CREATED,
        debs=environment.foundation.debs,
        wheels=environment.wheels,
        server=server.wheels + server.grpc,
        models=(),  # the manifest names the weights by digest; here they would let every retrain move this layer too
    )
    return {
        SERVICE: service_text(project, payload),
        PROJECT: project_text(project),
        LOCK: environment.lock,
        CYCLONEDX: cyclonedx(contents),
        SPDX: spdx(contents),
        **({BASELINE: payload.baseline} if payload.baseline else {}),
        **_check_files(payload.checks),
    }


def check_paths(number: int) -> tuple[str, str]:
    """Where the request and the expected answer of a check lie in the image."""
    return f"{CHECKS}/{number}/request.json", f"{CHECKS}/{number}/expect.json"


def _check_files(checks: tuple[CheckTexts, ...]) -> dict[str, str]:
    placed = [
        zip(check_paths(number), (check.request, check.expect), strict=True) for number, check in enumerate(checks)
    ]
    return {path: text for pair in placed for path, text in pair if text}


def _checks(checks: tuple[CheckTexts, ...]) -> list[dict[str, Any]]:
    """Say where the server finds them."""
    found = []
    for number, check in enumerate(checks):
        request, expect = check_paths(number)
        found.append(
            {"request": f"/{request}", "expect": f"/{expect}" if check.expect else "", "tolerance": check.tolerance}
        )
    return found


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
        "serve": {field: getattr(serve, field) for field in serve.__struct_fields__},
        **({"baseline": f"/{BASELINE}"} if payload.baseline else {}),
        **({"checks": _checks(payload.checks)} if payload.checks else {}),
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
        env=_env(environment.foundation),
        entrypoint=[environment.foundation.program, "-I", "-S", "/opt/tiffin/front"],
        cmd=["all"],
        working_dir="/app",
        labels={
            "dev.tiffin.format": payload.format,
            PYTHON: environment.foundation.python,
            "dev.tiffin.sockets": ",".join(f"{name}={port}" for name, port in PORTS.items()),
            "dev.tiffin.version": __version__,
            **({WEIGHTS: project.image.weights} if project.image.weights != "inside" else {}),
            **cuda_labels(environment.wheels),
            **declared_labels(_data(project), project.model.gpu),
            **_annotations(project, environment),
        },
        stop_signal="SIGTERM",
    )


def _data(project: Project) -> list[Data]:
    return [Data(name=data.name, path=data.path, write=data.write) for data in project.data]


def _env(foundation: Foundation) -> list[str]:
    """What a container is started with: what the base sets, and above it what is the same in every image."""
    own = {
        "PATH": ":".join(["/opt/venv/bin", *foundation.path]),
        "LANG": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108 - the container's own
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    inherited = [text for text in foundation.env if text.partition("=")[0] not in own]
    return inherited + [f"{name}={value}" for name, value in own.items()]


def _base(foundation: Foundation) -> BaseRef | None:
    return BaseRef(name=foundation.name, digest=foundation.digest) if foundation.digest else None


def _annotations(project: Project, environment: Environment) -> dict[str, str]:
    """Predefined annotation keys of the image-spec (annotations.md)."""
    return {
        "org.opencontainers.image.title": project.name,
        "org.opencontainers.image.version": project.model.version,
        **_base_annotations(environment.foundation),
    }


def _base_annotations(foundation: Foundation) -> dict[str, str]:
    """Say which image this one stands on; one that lies in files here has a name for nobody else."""
    said = {"name": foundation.name, "digest": foundation.digest or ""}
    return {f"org.opencontainers.image.base.{key}": value for key, value in said.items() if value}
