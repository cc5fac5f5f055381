"""A module that a step or a pipeline's file has not: how to have it, by the words in which Python says so. Pure."""

from __future__ import annotations

import re

_MISSING = re.compile(r"No module named '([^']+)'")
_RAISED = "ModuleNotFoundError: "
"""What a traceback's last line begins with."""


def hint_for(message: str) -> str:
    """How to have the module that a message says is missing; nothing where it says of none."""
    found = _MISSING.search(message)
    if not found:
        return ""
    package = found[1].partition(".")[0]
    return (
        f"add what brings `{package}` to `[python] dependencies` (or its requirements);"
        f" if it is a file of the project, to `[pipeline] include`"
    )


def hint_for_log(last: str) -> str:
    """How to have the module for which a step ended, by the last line that it wrote."""
    return hint_for(last) if last.startswith(_RAISED) else ""
