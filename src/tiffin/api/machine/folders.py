"""Where tiffin keeps its state, as paths. Standard library only."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # what `typing` calls the same; importing it would delay what is started again
if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECTS = ("tiffin.toml", "pyproject.toml")
"""The files that make a folder a project."""


def folders(environment: Mapping[str, str]) -> tuple[str, str]:
    """Find `data` and `cache`: TIFFIN_HOME moves both, else they follow the XDG base directory specification."""
    if moved := environment.get("TIFFIN_HOME"):
        moved = os.path.join(os.getcwd(), moved)  # noqa: PTH109, PTH118 - pathlib would delay what is started again
        return f"{moved}/data", f"{moved}/cache"
    data = environment.get("XDG_DATA_HOME") or f"{_home(environment)}/.local/share"
    cache = environment.get("XDG_CACHE_HOME") or f"{_home(environment)}/.cache"
    return f"{data}/tiffin", f"{cache}/tiffin"


def policy(environment: Mapping[str, str]) -> str:
    """Where this machine says whose signatures it requires."""
    return f"{environment.get('XDG_CONFIG_HOME') or f'{_home(environment)}/.config'}/tiffin/trust.toml"


def _home(environment: Mapping[str, str]) -> str:
    return environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - as above
