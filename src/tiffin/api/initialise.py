"""`init`: look at a folder, recognise the model, and propose a tiffin.toml."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tiffin.config.read import FILE
from tiffin.config.write import Proposal, project_text
from tiffin.durable import renamed
from tiffin.errors import ConfigError, ConflictError, NotFoundError, UnsupportedError
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.detect import find_model, read_model
from tiffin.models.model import Model
from tiffin.models.pickle_scan import approve
from tiffin.packages.pypi.installed import installed

BASES = {"3.11": "debian:bookworm", "3.13": "debian:trixie"}
"""Python -> the Debian that brings it."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """An environment a model may have been trained in: its Python, and its distributions with their versions."""

    python: str
    distributions: Mapping[str, str]


def initialise(
    folder: Path, *, model: str = "", name: str = "", force: bool = False, allow: Sequence[str] = ()
) -> tuple[Path, Model]:
    """Write the folder's tiffin.toml and return it with its model.

    Raises ConflictError where there is one already, and DeniedError for a model that would import what is not allowed.
    """
    target = folder / FILE
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}", "name the folder that holds the model")
    if target.exists() and not force:
        raise ConflictError(f"{target} is there already", "edit it, or write it anew with `tiffin init --force`")
    found = read_model(folder / model) if model else find_model(folder)
    for part in found.files:
        approve(part, found.format, AllowedImports.of(allow))
    proposal = propose(folder.resolve(), found, trained(folder), name)
    text = project_text(msgspec.structs.replace(proposal, allow_imports=allow))
    with renamed(target) as file:
        file.write(text.encode())
    return target, found


def propose(folder: Path, model: Model, environment: Trained, name: str = "") -> Proposal:
    """Propose what the image needs: the requirements given, else the versions the model was trained with."""
    if environment.python not in BASES:
        raise UnsupportedError(
            f"Python {environment.python} trained the model, and no Debian base here brings it",
            f"train with Python {' or '.join(BASES)}",
        )
    if model.path is None:
        raise ConfigError("a class of your own needs no init", "write `[model] predictor` in tiffin.toml")
    requirements = "requirements.txt" if (folder / "requirements.txt").is_file() else ""
    return Proposal(
        name=name or image_name(folder.name),
        model=model.path.resolve().relative_to(folder).as_posix(),
        format=model.format,
        python=environment.python,
        base=BASES[environment.python],
        requirements=requirements,
        dependencies=[] if requirements else pinned(model, environment),
    )


def pinned(model: Model, environment: Trained) -> list[str]:
    """The model's needs with the versions that the file itself tells, else those installed where it was trained."""
    versions = {**environment.distributions, **model.trained_with}
    wanted = [need for need in model.needs if need in versions or need != "pandas"]
    return [f"{need}=={versions[need]}" if need in versions else need for need in wanted]


def image_name(text: str) -> str:
    """Turn a folder's name into an image's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "model"


def trained(folder: Path) -> Trained:
    """Look at the environment the model was probably trained in: the active one, the folder's, else this one's."""
    for root in filter(None, (os.environ.get("VIRTUAL_ENV"), str(folder / ".venv"), sys.prefix)):
        for site in sorted(Path(root).glob("lib/python3.*/site-packages")):
            return Trained(python=site.parent.name.removeprefix("python"), distributions=installed(site))
    return Trained(python=f"3.{sys.version_info.minor}", distributions={})
