"""Namespaces in which many ids mean something: made by newuidmap(1), or by root. Standard library only (see `keeper`).

An ordinary user's processes are in an *outer* namespace that newuidmap filled, whose root they are. bubblewrap makes
the container's own below it and waits until its map is written: by the keeper, which may, as root there or everywhere.
"""

from __future__ import annotations

import os

from tiffin.engine.embedded import linux, stage

PATH = "/usr/bin:/bin:/usr/local/bin"
"""Where newuidmap lies; it is root's, so nothing else is looked at."""

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import TypedDict

    class Maps(TypedDict):
        """`outer` are commands of newuidmap and newgidmap without the process, `uids` and `gids` the inner maps."""

        outer: list[list[str]]
        uids: str
        gids: str


def enter(maps: Maps) -> None:
    """As an ordinary user: become root of a new namespace that has a range of ids; raises Refused."""
    if not maps["outer"]:
        return
    own = str(os.getpid())
    ready, go = os.pipe()
    helper = os.fork()
    if not helper:
        os.close(go)
        os.read(ready, 1)
        os._exit(int(any(_map(own, command) for command in maps["outer"])))
    linux.unshare(linux.CLONE_NEWUSER)
    os.close(ready)
    os.close(go)
    if os.waitpid(helper, 0)[1]:
        message = "newuidmap would not map your range of ids"
        raise stage.Refused("config", message, "compare `/etc/subuid` and `/etc/subgid` with `id`; see newuidmap(1)")


def write(process: int, maps: Maps) -> None:
    """Fill the namespace of a process that waits for it."""
    for name in ("uid", "gid"):
        with open(f"/proc/{process}/{name}_map", "w") as stream:  # noqa: PTH123 - see `stage`
            stream.write(maps["uids" if name == "uid" else "gids"])


def _map(process: str, command: list[str]) -> int:
    """Run newuidmap or newgidmap; what it says goes where ours does."""
    program, *numbers = command
    for folder in PATH.split(":"):
        if os.path.exists(f"{folder}/{program}"):  # noqa: PTH110 - see `stage`
            return os.spawnv(os.P_WAIT, f"{folder}/{program}", [program, process, *numbers])  # noqa: S606 - see `stage`
    return 1
