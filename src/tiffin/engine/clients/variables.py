"""What docker and podman are told about a container where no other user of this machine reads it: its variables."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from tiffin.engine.clients.program import Extra
from tiffin.errors import ConfigError

_LONGEST = 60 * 1024
"""Bytes of a line that both programs read from a file."""


@contextlib.contextmanager
def hidden(variables: Mapping[str, str], label: str = "") -> Iterator[tuple[list[str], Extra]]:
    """Give the options that say these variables and a label, and what the command needs besides.

    They are lines of files without names. What is no line goes by the client's environment, which is not the first
    way because a variable called PATH or HTTP_PROXY would be the client's own.
    """
    lines = {name: value for name, value in variables.items() if _is_line(name, value)}
    others = {name: value for name, value in variables.items() if name not in lines}
    with contextlib.ExitStack() as opened:
        files = {"--env-file": [f"{name}={value}" for name, value in lines.items()], "--label-file": [label]}
        written = {option: opened.enter_context(_written(text)) for option, text in files.items() if any(text)}
        options = [text for option, file in written.items() for text in (option, f"/dev/fd/{file}")]
        options += [text for name in others for text in ("--env", name)]
        yield options, Extra(environment=others, descriptors=tuple(written.values()))


@contextlib.contextmanager
def _written(lines: Sequence[str]) -> Iterator[int]:
    if any(len(line.encode()) > _LONGEST for line in lines):
        raise ConfigError("the environment is too long for docker and podman", "mount it as a file: `-v ./env:/env`")
    with tempfile.TemporaryFile() as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
        file.flush()
        file.seek(0)
        yield file.fileno()


def _is_line(name: str, value: str) -> bool:
    """Whether both programs read it from a file as it is."""
    line = f"{name}={value}"
    if any(sign in line for sign in "\n\r\0") or name != name.strip() or name.startswith("#"):
        return False
    with contextlib.suppress(UnicodeEncodeError):
        return len(line.encode()) <= _LONGEST
    return False
