"""A container's folder coming into being: whole or not at all, whoever makes it. Standard library only."""

from __future__ import annotations

import os

from tiffin.engine.embedded.forget import locked

NAMES, SPEC, RUN, ROOT = "names", "spec.json", "run", "root"
"""What lies in the folder of all containers, and in that of each (see `folder`)."""
UPPER, WORK = "upper", "work"
"""The folder where a container keeps what it writes to its root, and overlay's own."""
_ID_BYTES = 6

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable

    Owner = tuple[int, int]


class Taken(Exception):  # noqa: N818 - whoever hears of it says it in other words
    """Another container has the name."""


def new_id() -> str:
    """What no other container is called, ever."""
    return os.urandom(_ID_BYTES).hex()


def make(  # noqa: PLR0913 - two owners and what comes before: a value type would have one maker and one reader
    above: str,
    identity: str,
    name: str,
    spec: bytes,
    *,
    owner: Owner | None,
    root: Owner | None,
    writable: bool,
    sweep: Callable[[], None],
) -> None:
    """Make a container's folder in that of all; raises Taken for a name that another has.

    Its processes are the `owner`'s, its files the `root`'s; None is whoever runs this. `sweep` is called locked.
    """
    new = f"{above}/.new-{identity}"
    os.makedirs(f"{above}/{NAMES}", exist_ok=True)  # noqa: PTH103 - see `stage`
    with locked(f"{above}/{NAMES}"):
        sweep()
        _claim(f"{above}/{NAMES}/{name}", identity)
        os.mkdir(new)  # noqa: PTH102 - see `stage`
        os.mkdir(f"{new}/{RUN}", 0o700)  # noqa: PTH102 - see `stage`
        with open(f"{new}/{SPEC}", "xb") as file:  # noqa: PTH123 - see `stage`
            file.write(spec)
        _give(f"{new}/{RUN}", owner)
        if writable:
            _make_upper(f"{new}/{ROOT}", root)
        os.rename(new, f"{above}/{identity}")  # noqa: PTH104 - see `stage`


def _claim(link: str, identity: str) -> None:
    """Let a name mean this container; one that led to a folder which is gone means nothing."""
    if os.path.exists(link):  # noqa: PTH110 - see `stage`
        raise Taken
    if os.path.lexists(link):
        os.unlink(link)  # noqa: PTH108 - see `stage`
    os.symlink(f"../{identity}", link)  # noqa: PTH211 - see `stage`


def _make_upper(path: str, owner: Owner | None) -> None:
    """Make what overlay writes to, where no other user of the machine finds what a container made setuid."""
    os.mkdir(path, 0o700)  # noqa: PTH102 - see `stage`
    for name in (UPPER, WORK):
        os.mkdir(f"{path}/{name}")  # noqa: PTH102 - see `stage`
        os.chmod(f"{path}/{name}", 0o755)  # noqa: PTH101, S103 - whatever the umask; see `stage`
        _give(f"{path}/{name}", owner)
    _give(path, owner)


def _give(path: str, owner: Owner | None) -> None:
    if owner is not None:
        os.chown(path, *owner)
