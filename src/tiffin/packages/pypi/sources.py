"""Every kind of file that can list a project's packages, told apart by its name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.packages.pypi.environments import environment_requirements
from tiffin.packages.pypi.requirements import Requirement, Requirements
from tiffin.packages.pypi.settings import IndexSettings

_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")
_OWN_LOCK = "pylock.tiffin.toml"
_ELSEWHERE = {
    "poetry.lock": "`poetry export -o requirements.txt`",
    "Pipfile": "`pipenv requirements --hash > requirements.txt`",
    "Pipfile.lock": "`pipenv requirements --hash > requirements.txt`",
    "pdm.lock": "`pdm export -f pylock -o pylock.toml`",
    "conda-lock.yml": "name the environment.yml that it was made from",
    "setup.py": "list what it needs in a requirements.txt",
    "setup.cfg": "list what it needs in a requirements.txt",
}
"""Files of other tools -> how to get one that is read here."""


def read_requirements(path: Path) -> Requirements:
    """Read what a file asks for; raises ConfigError or UnsupportedError with file and place.

    Read are pylock.toml and pylock.*.toml (PEP 751), pyproject.toml with or without uv.lock, the environment files of
    conda and MLflow (*.yaml, *.yml), and anything else as a requirements.txt. Cheap enough for every build: of a lock
    only the digest is taken.
    """
    if hint := _ELSEWHERE.get(path.name):
        raise UnsupportedError(f"{path} is not read here", hint)
    if path.name == _OWN_LOCK:
        raise ConfigError(f"{path} is what tiffin writes, not what it reads", "name what you wrote, or remove the key")
    if path.name in {"pyproject.toml", "uv.lock"}:
        return _project(path.with_name("pyproject.toml"))
    if _PYLOCK.fullmatch(path.name):
        return Requirements(wanted=(_state(path),), lock=path)
    if path.suffix in {".yaml", ".yml"}:
        return environment_requirements(path)
    return Requirements.of_file(path)


def listed(folder: Path) -> str:
    """Return the name of the file in a folder that lists what its project needs; empty where none does."""
    for name in ("requirements.txt", "pylock.toml"):
        if (folder / name).is_file():
            return name
    pyproject = folder / "pyproject.toml"
    if not pyproject.is_file():
        return ""
    project = _table(pyproject).get("project", {})
    return pyproject.name if project.get("dependencies") or (folder / "uv.lock").is_file() else ""


def _project(path: Path) -> Requirements:
    """Read a project's own dependencies: out of the uv.lock beside it, or as they are written."""
    table = _table(path)
    project = table.get("project")
    if not isinstance(project, dict):
        hint = 'write `[project] dependencies = ["…"]`, or export a requirements.txt with the tool that you use'
        raise ConfigError(f"{path} has no [project]", hint)
    lines = project.get("dependencies", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ConfigError(f"{path}: not a list of strings - at `$.project.dependencies`", "see PEP 621")
    asked = Requirements.of(lines, f"{path}: $.project.dependencies", path.parent).wanted
    own = _itself(table, path)
    lock, python = path.with_name("uv.lock"), str(project.get("requires-python", ""))
    if lock.is_file():
        return Requirements(wanted=(_state(lock), *own, *asked), lock=lock, python=python)
    if "dependencies" in project.get("dynamic", []) and not own:
        raise UnsupportedError(f"{path}: its dependencies are dynamic", "`uv lock` in its folder writes them down")
    sources = table.get("tool", {}).get("uv", {}).get("sources", {})
    sources = {canonicalize_name(name): source for name, source in sources.items()}
    pins = {name: source["index"] for name, source in sources.items() if isinstance(source, dict) and "index" in source}
    wanted = [
        _from_source(each, sources[each.name], path) if each.name in {*sources} - {*pins} else each for each in asked
    ]
    return Requirements(wanted=(*own, *wanted), python=python, settings=IndexSettings(pins=pins))


def _itself(table: dict[str, Any], path: Path) -> tuple[Requirement, ...]:
    """Require the project itself where uv takes it to be a package: it says so, or what builds it."""
    package = table.get("tool", {}).get("uv", {}).get("package")
    if not ("build-system" in table if package is None else package):
        return ()
    return (Requirement(name="", text=".", place=f"{path}: $.build-system", path=path.parent),)


def _from_source(asked: Requirement, source: Any, path: Path) -> Requirement:
    """Require a folder or file in the place of a name, where [tool.uv.sources] has a path for it."""
    place = f"{path}: $.tool.uv.sources.{asked.name}"
    if isinstance(source, dict) and isinstance(source.get("path"), str):
        parsed = Parsed(asked.text)
        extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
        line = f"{asked.name}{extras} @ file:{source['path']}" + (f" ; {parsed.marker}" if parsed.marker else "")
        return Requirements.of([line], place, path.parent).wanted[0]
    hint = "`uv lock` in its folder makes a uv.lock, which holds it"
    raise UnsupportedError(f"{place} has no path: only uv knows what it means", hint)


def _state(lock: Path) -> Requirement:
    """What stands for a lock: its name and the digest of what it says now."""
    try:
        digest = Digest.of(lock.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {lock}: {error.strerror}", "name a lock that exists") from error
    return Requirement(name=lock.name, text=lock.name, place=str(lock), hashes=frozenset({digest.hex}))


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "it must be TOML in UTF-8") from error
