"""Which files of a project go where in the image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tiffin.build.included import INCLUDE, matching
from tiffin.config.project import Project
from tiffin.errors import ConfigError
from tiffin.models.detect import read_model
from tiffin.models.model import Model


def project_model(folder: Path, project: Project, trained: Path | None = None) -> Model:
    """Say what a project serves: the user's own class, or the file that `[model] path` names.

    `trained` is a model that was just made, and takes the place of that file.
    """
    path = trained or (folder / project.model.path if project.model.path else None)
    if project.model.predictor:
        if path and not path.exists():
            raise ConfigError(f"no model files at {path}", "set `[model] path` in tiffin.toml, relative to its folder")
        return Model(format="python", path=path, predictor=project.model.predictor)
    return read_model(path or folder)


def weights_of(model: Model) -> dict[str, Path]:
    """Where the model's files go: path in the image -> path here."""
    if model.path is None:
        return {}
    root = model.path.parent if model.path.is_file() else model.path
    return {str(PurePosixPath("models") / file.relative_to(root).as_posix()): file for file in model.files}


def code_of(folder: Path, project: Project, model: Model) -> dict[str, Path]:
    """Where the user's code goes: what `[image] include` matches, but no hidden files, environments, model or data."""
    weights = {*model.files, folder / project.model.training_data}
    replaced = folder / project.model.path if model.path and not model.path.is_relative_to(folder) else None
    found = {
        f"app/{name}": path
        for pattern in project.image.include
        for name, path in matching(folder, pattern, INCLUDE)
        if path not in weights and replaced not in {path, *path.parents}
    }
    if project.model.predictor:
        _check_predictor(project.model.predictor, found)
    return found


def _check_predictor(predictor: str, code: dict[str, Path]) -> None:
    module = predictor.partition(":")[0].replace(".", "/")
    if not {f"app/{module}.py", f"app/{module}/__init__.py"} & set(code):
        raise ConfigError(
            f"`[model] predictor` names {predictor}, but no {module}.py is among the included files",
            'add it to `[image] include`, such as include = ["*.py", "mypackage/**/*.py"]',
        )
