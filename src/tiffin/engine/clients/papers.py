"""What docker and podman are told where no other user of the machine reads it: neither on a command line nor on disk.

A file without a name goes to the program as a descriptor. What its lines cannot say, a value of several lines, the
program takes from its own environment, where `--env NAME` finds it.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping

import msgspec

from tiffin.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LINE = re.compile(r"[^\r\n\ud800-\udfff]*")
_LONGEST = 60_000
"""Bytes of a line that these programs read."""


class Variables(msgspec.Struct, frozen=True, kw_only=True):
    """A container's environment, as these programs are told it: lines of a file, and names whose values they have."""

    lines: str
    named: dict[str, str]


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """Paths under which a program finds what it is told, and the descriptors behind them."""

    variables: str
    labels: str
    descriptors: tuple[int, ...] = ()


def variables(environment: Mapping[str, str], client: Mapping[str, str]) -> Variables:
    """Decide how each variable is told; raises ConfigError for one that would change the program itself."""
    plain = {name: value for name, value in environment.items() if is_plain(name, value)}
    named = {name: value for name, value in environment.items() if name not in plain}
    for name in named:
        if name in client or name.startswith(("LD_", "DOCKER_", "CONTAINER", "XDG_")):
            raise ConfigError(
                f"the value of {name} has several lines, and this engine reads that variable itself",
                "give it another name, or one line",
            )
    return Variables(lines="".join(f"{name}={value}\n" for name, value in plain.items()), named=named)


def is_plain(name: str, value: str) -> bool:
    """Whether a line of a file can say it."""
    short = len(name) + len(value.encode(errors="surrogateescape")) < _LONGEST
    return bool(_NAME.fullmatch(name) and _LINE.fullmatch(value) and short)


@contextlib.contextmanager
def handed_over(variables: str, labels: str) -> Iterator[Papers]:
    """Write down what a program is told, for as long as it runs."""
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        for stream, text in ((first, variables), (second, labels)):
            stream.write(text.encode())
            stream.seek(0)
        numbers = (first.fileno(), second.fileno())
        yield Papers(variables=f"/dev/fd/{numbers[0]}", labels=f"/dev/fd/{numbers[1]}", descriptors=numbers)
