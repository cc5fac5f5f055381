"""Which Debian package brings a library: reviewed data, and Debian's own rule where it is silent."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

_SONAME = re.compile(r"(lib[A-Za-z0-9+._-]+)\.so\.([0-9]+)")


def package_of(library: str, suite: str) -> str:
    """Name the package of a suite that has a library; "" where nothing is known of it."""
    table = _table()
    return table.get(suite, {}).get(library) or table["all"].get(library, "")


def guess(library: str) -> str:
    """Name the package that Debian Policy 8.1 makes of a library's name; "" where it makes none."""
    found = _SONAME.fullmatch(library)
    if not found:
        return ""
    name = found[1].lower().replace("_", "-")
    return f"{name}-{found[2]}" if name[-1].isdigit() else name + found[2]


@cache
def _table() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files(__package__).joinpath("sonames.toml").read_text("utf-8"))
