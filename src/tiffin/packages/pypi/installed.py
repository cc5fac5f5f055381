"""Which versions are installed where the model was trained, so that the image gets the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from tiffin.errors import NotFoundError


def installed(site_packages: Path) -> dict[str, str]:
    """Return the version of every distribution in a site-packages folder by its normalised name."""
    found: dict[str, str] = {}
    for distribution in distributions(path=[str(site_packages)]):
        name = distribution.metadata["Name"]
        if name:  # an interrupted installation leaves folders without metadata
            found.setdefault(canonicalize_name(name), distribution.version)
    return found


def pinned(names: Iterable[str], versions: Mapping[str, str]) -> list[str]:
    """Return a requirement for exactly the installed version of each name; raises NotFoundError for what is absent."""
    wanted = sorted({canonicalize_name(name) for name in names})
    if missing := [name for name in wanted if name not in versions]:
        hint = "run tiffin with the Python that trained the model, or write a requirements.txt"
        raise NotFoundError(f"not installed here: {', '.join(missing)}", hint)
    return [f"{name}=={versions[name]}" for name in wanted]
