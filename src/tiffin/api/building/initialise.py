"""`init`: look at a folder, recognise the model, and propose a tiffin.toml."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tiffin.config.dockerfile import parse_dockerfile, substituted
from tiffin.config.read import FILE
from tiffin.config.replace import Replacement, replacement
from tiffin.config.write import Proposal, project_text
from tiffin.durable import renamed
from tiffin.errors import ConfigError, ConflictError, NotFoundError, UnsupportedError
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.approve import approve
from tiffin.models.detect import find_model, read_model
from tiffin.models.distributions import chosen
from tiffin.models.model import Model
from tiffin.packages.pypi.installed import installed
from tiffin.packages.pypi.sources import listed
from tiffin.progress import note

DOCKERFILE = "Dockerfile"

BASES = {"3.11": "debian:bookworm", "3.13": "debian:trixie"}
"""Python -> the Debian that brings it."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """An environment a model may have been trained in: its Python, and its distributions with their versions."""

    python: str
    distributions: Mapping[str, str]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says of a new project; what is empty is found out."""

    model: str = ""
    name: str = ""
    dockerfile: bool = True
    """Whether a Dockerfile that is there is to be replaced."""
    allow: Sequence[str] = ()
    """Names that the model's pickle may import, besides those its framework needs."""


def initialise(folder: Path, asked: Asked, *, force: bool = False) -> tuple[Path, Model]:
    """Write the folder's tiffin.toml and return it with its model.

    Raises ConflictError where there is one already, and DeniedError for a model that would import what is not allowed.
    """
    target = folder / FILE
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}", "name the folder that holds the model")
    if target.exists() and not force:
        raise ConflictError(f"{target} is there already", "edit it, or write it anew with `tiffin init --force`")
    found = read_model(folder / asked.model) if asked.model else find_model(folder)
    for part in found.files:
        approve(part, found.format, AllowedImports.of(asked.allow))
    replaced = replace_dockerfile(folder, found) if asked.dockerfile else Replacement(fates=[])
    environment = trained(folder)
    if replaced.python:
        environment = msgspec.structs.replace(environment, python=replaced.python)
    proposal = propose(folder.resolve(), found, environment, asked.name)
    proposal = msgspec.structs.replace(proposal, allow_imports=asked.allow)
    with renamed(target) as file:
        file.write(project_text(merged(proposal, replaced)).encode())
    return target, found


def replace_dockerfile(folder: Path, model: Model) -> Replacement:
    """Read the folder's Dockerfile and tell line by line what becomes of it; raises UnsupportedError for what cannot.

    Where there is none, nothing is replaced.
    """
    path = folder / DOCKERFILE
    if not path.is_file():
        return Replacement(fates=[])
    weights = model.path.relative_to(folder).as_posix() if model.path else ""
    try:
        instructions = substituted(parse_dockerfile(path.read_text("utf-8"), str(path)))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error}", "it must be UTF-8") from error
    found = replacement(instructions, BASES, weights)
    if refused := [fate for fate in found.fates if fate.refused]:
        lines = "".join(f"\n    {path}:{fate.line}: {fate.instruction}: {fate.becomes}" for fate in refused)
        raise UnsupportedError(
            f"a tiffin.toml cannot replace all of {path}:{lines}",
            f"`tiffin build -f {path} {folder}` has docker build it; `tiffin init --no-dockerfile` leaves it aside",
        )
    for fate in found.fates:
        note(f"{path}:{fate.line}: {fate.instruction} -> {fate.becomes}")
    return found


def merged(proposal: Proposal, replaced: Replacement) -> Proposal:
    """Add what a Dockerfile says to what was found out."""
    named = {re.split(r"[\[<>=!~; ]", text)[0].lower() for text in replaced.dependencies}
    needs = [need for need in proposal.dependencies if need.partition("==")[0] not in named]
    requirements = replaced.requirements or proposal.requirements
    return msgspec.structs.replace(
        proposal,
        requirements=requirements,
        dependencies=[] if requirements else [*replaced.dependencies, *needs],
        packages=tuple(dict.fromkeys([*proposal.packages, *replaced.packages])),
        include=tuple(dict.fromkeys(replaced.include)) or proposal.include,
    )


def propose(folder: Path, model: Model, environment: Trained, name: str = "") -> Proposal:
    """Propose what the image needs: the requirements given, else the versions the model was trained with."""
    if environment.python not in BASES:
        raise UnsupportedError(
            f"Python {environment.python} trained the model, and no Debian base here brings it",
            f"train with Python {' or '.join(BASES)}; or write the tiffin.toml with a base that has it, such as"
            f' `base = "python:{environment.python}-slim"`, or with an archive of it as `[python] build`',
        )
    if model.named is None:
        raise ConfigError("a class of your own needs no init", "write `[model] predictor` in tiffin.toml")
    requirements = listed(folder)
    return Proposal(
        name=name or image_name(folder.name),
        model=model.named.resolve().relative_to(folder).as_posix(),
        format=model.format,
        python=environment.python,
        base=BASES[environment.python],
        requirements=requirements,
        dependencies=[] if requirements else pinned(model, environment),
        packages=model.packages,
    )


def pinned(model: Model, environment: Trained) -> list[str]:
    """The lines a model brings, then its needs with the versions that the file tells, else those installed."""
    lines = list(model.requirements)
    for need in model.needs:
        name = chosen(need, environment.distributions)
        version = model.trained_with.get(need) or environment.distributions.get(name)
        if version or need != "pandas":
            lines.append(f"{name}=={version}" if version else name)
    return lines


def image_name(text: str) -> str:
    """Turn a folder's name into an image's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "model"


def trained(folder: Path) -> Trained:
    """Look at the environment the model was probably trained in: the active one, the folder's, else this one's."""
    for root in filter(None, (os.environ.get("VIRTUAL_ENV"), str(folder / ".venv"), sys.prefix)):
        for site in sorted(Path(root).glob("lib/python3.*/site-packages")):
            return Trained(python=site.parent.name.removeprefix("python"), distributions=installed(site))
    return Trained(python=f"3.{sys.version_info.minor}", distributions={})
