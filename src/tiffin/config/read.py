"""Read what the user wrote: tiffin.toml, or `[tool.tiffin]` of a pyproject.toml."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from tiffin.config.base import DEBIAN, parse_base
from tiffin.config.checks import check_mistakes
from tiffin.config.data import data_mistakes
from tiffin.config.deploy import EnvironmentSection, ReplicasSection, RolloutSection
from tiffin.config.origins import origin_mistakes
from tiffin.config.pipeline import pipeline_mistakes
from tiffin.config.project import TOLERANCE, CheckSection, DataSection, Project
from tiffin.config.release import AllowSection, SignSection, release_mistakes
from tiffin.config.section import Section
from tiffin.config.services import service_mistakes
from tiffin.errors import ConfigError, NotFoundError

FILE = "tiffin.toml"
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.?(?P<place>[^`]*)`)?")
_ANY_ENVIRONMENT = "$.environment[...]"
_SECTIONS: dict[str, type[Section]] = {
    "": Project,
    "data": DataSection,
    "check": CheckSection,
    "environment": EnvironmentSection,
    "replicas": ReplicasSection,
    "rollout": RolloutSection,
    "sign": SignSection,
    "allow": AllowSection,
}
"""What tables are made of that are not a key of the file by their own name; the last part of a place says which."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PYTHON = re.compile(r"3\.\d{1,2}")


def read_project(folder: Path, *, needs_model: bool = True) -> tuple[Path, Project]:
    """Return the file that configures the folder's project, and what it says.

    One that only says how a service of another image is kept has no model. Raises NotFoundError where there is none,
    ConfigError with file and place for a mistake.
    """
    file = folder / FILE
    if file.is_file():
        return file, parse_project(_table(file), str(file), needs_model=needs_model)
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file() and "tiffin" in (tool := _table(pyproject).get("tool", {})):
        return pyproject, parse_project(tool["tiffin"], f"{pyproject} [tool.tiffin]", needs_model=needs_model)
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}", "name the folder that holds the model and its tiffin.toml")
    raise NotFoundError(f"{folder} has no {FILE}", f"`tiffin init {folder}` looks at the model and writes one")


def parse_project(table: dict[str, Any], where: str, *, needs_model: bool = True) -> Project:
    """Check a parsed table; raises ConfigError with the place of the mistake."""
    try:
        project = msgspec.convert(table, Project)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_placed(str(error), table)}", _hint(str(error))) from error
    for mistake in _mistakes(project, needs_model=needs_model):
        raise ConfigError(f"{where}: {mistake}", "docs/reference/config.md lists every key")
    return project


def _hint(error: str) -> str:
    """Name the keys there are where one is unknown, the one that was probably meant first."""
    found = _UNKNOWN.fullmatch(error)
    if not found:
        return "docs/reference/config.md lists every key"
    parts = re.sub(r"\[[^]]*\]", "", found["place"] or "").split(".")
    section = parts[-1]
    kind = _SECTIONS[section] if section in _SECTIONS else type(getattr(Project(name="x"), section))
    keys = kind.__struct_encode_fields__
    near = difflib.get_close_matches(found["key"], keys, 1)
    meant = f"did you mean `{near[0]}`? " if near else ""
    table = f"[{'.'.join(parts)}]" if section else "the file"
    return f"{meant}{table} may have {', '.join(keys)}"


def _placed(error: str, table: dict[str, Any]) -> str:
    """Say in which environment a mistake is; of the keys of a table msgspec says only that there are some."""
    if _ANY_ENVIRONMENT not in error:
        return error
    for name, section in table["environment"].items():
        try:
            msgspec.convert(section, EnvironmentSection)
        except msgspec.ValidationError:
            return error.replace(_ANY_ENVIRONMENT, f"$.environment.{name}")
    return error


def _mistakes(project: Project, *, needs_model: bool) -> list[str]:
    """What the types cannot say."""
    python, serve, base = project.python, project.serve, parse_base(project.image.base)
    model = project.model
    found = {
        "`name` takes lower-case letters, digits and . _ - - at `$.name`": not _NAME.fullmatch(project.name),
        "give `path` or `predictor` - at `$.model`": needs_model and not (model.path or model.predictor),
        "a class of your own is no file to convert - at `$.model.convert`": bool(model.convert and model.predictor),
        "`tolerance` and `samples` go with `convert` - at `$.model`": not model.convert
        and (bool(model.samples) or model.tolerance != TOLERANCE),
        "`tolerance` is between 0 and 1 - at `$.model.tolerance`": not 0 <= model.tolerance <= 1,
        "`predictor` is `module:Class` - at `$.model.predictor`": bool(project.model.predictor)
        and not re.fullmatch(r"[\w.]+:\w+", project.model.predictor),
        "`target` is a column of `training-data`, which is missing - at `$.model`": bool(project.model.target)
        and not project.model.training_data,
        '`version` is like "3.11" - at `$.python.version`': not _PYTHON.fullmatch(python.version),
        "give `requirements` or `dependencies`, not both - at `$.python`": bool(python.requirements)
        and bool(python.dependencies),
        "`build` and its `sha256` go together - at `$.python`": bool(python.build) != bool(python.sha256),
        "`sha256` has 64 hex digits - at `$.python.sha256`": bool(python.sha256)
        and not _SHA256.fullmatch(python.sha256),
        "`build` goes onto Debian's packages - at `$.image.base`": bool(python.build) and base.kind != DEBIAN,
        "`packages` are Debian's, and a base image brings its own - at `$.image.packages`": base.kind != DEBIAN
        and bool(project.image.packages),
        "`workers` is at least 1 - at `$.serve.workers`": serve.workers < 1,
        "`queue` is at least 1 - at `$.serve.queue`": serve.queue < 1,
        "`deadline-ms` is more than 0 - at `$.serve.deadline-ms`": serve.deadline_ms <= 0,
        "`max-batch` is at least 1 - at `$.serve.max-batch`": serve.max_batch < 1,
        "`max-body-bytes` is at least 1 - at `$.serve.max-body-bytes`": serve.max_body_bytes < 1,
        "seconds are not negative - at `$.serve`": min(serve.drain_seconds, serve.load_seconds, serve.max_delay_ms) < 0,
    }
    return [
        *(mistake for mistake, made in found.items() if made),
        *data_mistakes(project.data),
        *check_mistakes(project.check),
        *service_mistakes(project),
        *release_mistakes(project.release, project.environment),
        *origin_mistakes(serve.cors),
        *pipeline_mistakes(project.pipeline),
    ]


def _table(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}", "it must be TOML in UTF-8") from error
