"""The programs that a wheel brings: generated from its entry points, or its own with their first line rewritten.

Entry points: https://packaging.python.org/en/latest/specifications/entry-points/.
"""

from __future__ import annotations

import configparser
import re

from tiffin.errors import IntegrityError
from tiffin.layers.wheel_names import PYTHON

_SECTIONS = ("console_scripts", "gui_scripts")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_VALUE = re.compile(
    r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*:\s*(?P<attribute>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(?:\[[\w\s,.-]*\])?"
)
_TEMPLATE = """\
#!{python}
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""
_PLACEHOLDER = b"#!python"


def entry_point_scripts(text: str) -> dict[str, bytes]:
    """Write the script of every console and GUI entry point, by its name; raises IntegrityError.

    Names become file names and values become code, so neither may be anything but a name.
    """
    parser = configparser.RawConfigParser(delimiters=("=",), default_section="\0", strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of programs keep their case
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise IntegrityError(f"entry_points.txt is broken: {' '.join(str(error).split())}") from error
    return {
        name: _script(name, value)
        for section in _SECTIONS
        if parser.has_section(section)
        for name, value in parser.items(section)
    }


def _script(name: str, value: str) -> bytes:
    match = _VALUE.fullmatch(value.strip())
    if not match or not _NAME.fullmatch(name):
        raise IntegrityError(f"entry_points.txt names no function: {name!r} = {value!r}")
    attribute = match["attribute"]
    text = _TEMPLATE.format(
        python=PYTHON, module=match["module"], first=attribute.partition(".")[0], attribute=attribute
    )
    return text.encode()


def is_python_script(begin: bytes) -> bool:
    """Say whether a script of a wheel leaves its interpreter open: it begins with `#!python`."""
    return begin.startswith(_PLACEHOLDER)


def with_interpreter(script: bytes) -> bytes:
    """Name the image's interpreter in a script's first line, in place of `#!python` or `#!pythonw` and arguments."""
    _, newline, rest = script.partition(b"\n")
    return b"#!" + PYTHON.encode() + newline + rest
