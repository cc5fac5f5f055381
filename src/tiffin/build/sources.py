"""Which files of a project go where in the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from tiffin.config.project import Project
from tiffin.errors import ConfigError
from tiffin.models.detect import read_model
from tiffin.models.model import Model

_NEVER = {"__pycache__", "node_modules"}


def project_model(folder: Path, project: Project) -> Model:
    """Say what a project serves: the user's own class, or the file that `[model] path` names."""
    path = folder / project.model.path if project.model.path else None
    if project.model.predictor:
        if path and not path.exists():
            raise ConfigError(f"no model files at {path}", "set `[model] path` in tiffin.toml, relative to its folder")
        return Model(format="python", path=path, predictor=project.model.predictor)
    return read_model(folder / project.model.path)


def weights_of(model: Model) -> dict[str, Path]:
    """Where the model's files go: path in the image -> path here."""
    if model.path is None:
        return {}
    root = model.path.parent if model.path.is_file() else model.path
    return {str(PurePosixPath("models") / file.relative_to(root).as_posix()): file for file in model.files}


def code_of(folder: Path, project: Project, model: Model) -> dict[str, Path]:
    """Where the user's code goes: what `[image] include` matches, but no hidden files, environments, model or data."""
    weights = {*model.files, folder / project.model.training_data}
    found = {
        f"app/{name}": path
        for pattern in project.image.include
        for name, path in _matches(folder, pattern)
        if path not in weights
    }
    if project.model.predictor:
        _check_predictor(project.model.predictor, found)
    return found


def _matches(folder: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
        raise ConfigError(
            f"`{pattern}` leaves the project's folder - at `$.image.include`", "patterns are relative to tiffin.toml"
        )
    environments = {path.parent.name for path in folder.glob("*/pyvenv.cfg")}
    for path in folder.glob(pattern):
        name = path.relative_to(folder)
        if path.is_file() and not _hidden(name.parts) and name.parts[0] not in environments:
            yield name.as_posix(), path


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") or part in _NEVER for part in parts)


def _check_predictor(predictor: str, code: dict[str, Path]) -> None:
    module = predictor.partition(":")[0].replace(".", "/")
    if not {f"app/{module}.py", f"app/{module}/__init__.py"} & set(code):
        raise ConfigError(
            f"`[model] predictor` names {predictor}, but no {module}.py is among the included files",
            'add it to `[image] include`, such as include = ["*.py", "mypackage/**/*.py"]',
        )
