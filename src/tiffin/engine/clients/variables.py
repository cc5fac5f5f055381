"""What docker and podman are told about a container where no other user of this machine reads it.

Files without names go to the program as descriptors: neither its command line nor the disk has what is in them.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from tiffin.engine.clients.program import Extra
from tiffin.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LINE = re.compile(r"[^\r\n\0\ud800-\udfff]*")
_LONGEST = 60_000
"""Bytes of a line that both programs read from a file."""
_ITS_OWN = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|LANG|TERM|(LC|LD|GO|XDG|DOCKER|BUILDAH|STORAGE|REGISTRY|SSL|LISTEN|NOTIFY|SSH)_?[A-Z_]*"
    r"|_?CONTAINERS?_?[A-Z_]*|(HTTP|HTTPS|ALL|FTP|NO)_PROXY",
    re.IGNORECASE,
)
"""The names of variables that the program, or who loads it, reads itself."""


@contextlib.contextmanager
def hidden(variables: Mapping[str, str], labels: Sequence[str] = ()) -> Iterator[tuple[list[str], Extra]]:
    """Give the options that say these variables and lines of labels, and what the command needs besides.

    What is no line, a value of several, goes by the program's own environment, where `--env NAME` finds it. Raises
    ConfigError for one that would change the program itself.
    """
    lines = [f"{name}={value}" for name, value in variables.items() if _is_line(name, value)]
    others = {name: value for name, value in variables.items() if not _is_line(name, value)}
    _check(others)
    with contextlib.ExitStack() as opened:
        files = {"--env-file": lines, "--label-file": labels}
        written = {option: opened.enter_context(_written(text)) for option, text in files.items() if text}
        options = [text for option, file in written.items() for text in (option, f"/dev/fd/{file}")]
        options += [text for name in others for text in ("--env", name)]
        yield options, Extra(environment=others, descriptors=tuple(written.values()))


def _check(others: Mapping[str, str]) -> None:
    for name in others:
        if _ITS_OWN.fullmatch(name):
            raise ConfigError(
                f"the value of {name} has several lines, and this engine reads that variable itself",
                "give it another name, or one line",
            )


@contextlib.contextmanager
def _written(lines: Sequence[str]) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
        file.seek(0)
        yield file.fileno()


def _is_line(name: str, value: str) -> bool:
    """Whether both programs read it from a file as it is."""
    short = len(name) + len(value.encode(errors="surrogateescape")) < _LONGEST
    return bool(_NAME.fullmatch(name) and _LINE.fullmatch(value) and short)
