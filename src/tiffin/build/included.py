"""Which files of a project its patterns mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from tiffin.config.project import Project
from tiffin.errors import ConfigError

INCLUDE, STEPS = "$.image.include", "$.pipeline.include"
"""Where patterns are written in tiffin.toml: of what goes into the image, and of what steps have besides."""
_NEVER = {"__pycache__", "node_modules"}


def steps_of(folder: Path, project: Project, include: Iterable[str]) -> dict[str, Path]:
    """Where the code of a pipeline's steps is, by name: what goes into the image as code, and what `include` matches.

    The trained model is left out, whether it is there yet or not: the pipeline makes it, and would never be as it was.
    """
    model = folder / project.model.path if project.model.path else None
    data = folder / project.model.training_data if project.model.training_data else None
    wanted = {INCLUDE: project.image.include, STEPS: include}
    return {
        name: path
        for where, patterns in wanted.items()
        for pattern in patterns
        for name, path in matching(folder, pattern, where)
        if path != data and model not in {path, *path.parents}
    }


def matching(folder: Path, pattern: str, where: str) -> Iterator[tuple[str, Path]]:
    """Find the files of a project that a pattern means, by name: none that is hidden, or of an environment.

    Raises ConfigError for a pattern that leaves the folder, with `where` that is written.
    """
    if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
        raise ConfigError(
            f"`{pattern}` leaves the project's folder - at `{where}`", "patterns are relative to tiffin.toml"
        )
    environments = {path.parent.name for path in folder.glob("*/pyvenv.cfg")}
    for path in folder.glob(pattern):
        name = path.relative_to(folder)
        if path.is_file() and not _hidden(name.parts) and name.parts[0] not in environments:
            yield name.as_posix(), path


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") or part in _NEVER for part in parts)
