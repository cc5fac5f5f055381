"""`run` once more: what was decided for the same words is not decided again while all that it depends on is the same.

`rehearse` writes what is read here, after a container of the same words has ended. Whatever is not quite as it was,
and whatever is rare, is left to `run`: then the answer is None. Standard library only, with little of that: what is
imported here delays the first byte (docs/adr/0023).
"""

from __future__ import annotations

import binascii
import contextlib
import fcntl
import json
import os
import sys
import time

from tiffin.api.machine.folders import PROJECTS, folders
from tiffin.api.machine.witness import same
from tiffin.engine.naming import free_name, hostname

TYPE_CHECKING = False  # what `typing` calls the same
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypedDict

    from tiffin.api.machine.witness import Seen
    from tiffin.engine.embedded.warm import Start, WarmContainer, Whole

    class Head(TypedDict):
        """The first line of a file: for which words it is, what was looked at, and what stands for what is new.

        `relied` are the layers. `mark` stands for name, host name and ID in the second line, which is a `Start`.
        """

        key: list[object]
        stem: str
        mark: str
        seen: Seen
        relied: list[str]


FRESH_SECONDS = 600
"""How exactly the time is known at which a layer was last relied on (see `unpacked`)."""
_FLAGS: dict[str, tuple[str, bool]] = {
    "--rm": ("remove", True),
    "-i": ("stdin", True),
    "--interactive": ("stdin", True),
    "--read-only": ("read_only", True),
    "--writable": ("read_only", False),
}
"""The options that are known here, and what each says of which."""
_PROGRESS = {"", "auto", "live", "plain", "none"}
_VARIABLES = ("HOME", "LNAME", "LOGNAME", "PATH", "USER", "USERNAME", "XDG_CONFIG_HOME")
"""What else a decision reads of the environment: where programs are, who this is, where a policy is."""


class Words:
    """What is asked for: an image, the words after its name, and the few options that are known here."""

    def __init__(self, what: str, args: Sequence[str], *, remove: bool, stdin: bool, read_only: bool | None) -> None:
        self.what, self.args, self.remove, self.stdin, self.read_only = what, list(args), remove, stdin, read_only

    def key(self, environment: Mapping[str, str]) -> list[object]:
        """All of it that decides how a container is started, and who asks."""
        data, _ = folders(environment)
        program = self.args[0] if self.args else None
        project = os.getcwd() if any(map(os.path.lexists, PROJECTS)) else None  # noqa: PTH109 - no pathlib
        who = [os.geteuid(), os.getegid(), *(environment.get(name) for name in _VARIABLES)]
        return [self.what, program, self.stdin, self.read_only, data, project, *who]


def run(typed: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Run what was run before and return its exit status; None where that is to be decided anew."""
    words = read(typed, environment)
    if words is None or os.path.isdir(words.what):  # noqa: PTH112 - pathlib would delay the first byte
        return None
    data, _ = folders(environment)
    using = _join(data)
    path = place(words, environment)
    found = _recall(path, words.key(environment))
    if using is None or found is None:
        return None
    from tiffin.api.containers.foreground import stand_by
    from tiffin.engine.embedded.warm import Changed

    container = _make(*found, words.args, f"{data}/containers")
    if container is None:
        return None
    try:
        status = stand_by(container.run, container.stop, container.remove)
    except Changed:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - as above
        return None
    if words.remove:
        container.remove()
    return status


def read(typed: Sequence[str], environment: Mapping[str, str]) -> Words | None:
    """Read a command line, if it is one that is known here."""
    engine, progress = environment.get("TIFFIN_ENGINE", ""), environment.get("TIFFIN_PROGRESS", "")
    if typed[:1] != ["run"] or sys.platform != "linux" or engine not in {"", "embedded"} or progress not in _PROGRESS:
        return None
    rest = [*typed[1:]]
    given: dict[str, bool] = {}
    while rest and rest[0] in _FLAGS:
        name, value = _FLAGS[rest.pop(0)]
        given[name] = value
    if not rest or rest[0].startswith(("-", ".", "/")) or "".join(rest[1:2]).startswith("-"):
        return None
    return Words(
        rest[0],
        rest[1:],
        remove=given.get("remove", False),
        stdin=given.get("stdin", False),
        read_only=given.get("read_only"),
    )


def place(words: Words, environment: Mapping[str, str]) -> str:
    """The file for what is asked; another may have the same, and only the key in it tells."""
    _, cache = folders(environment)
    return f"{cache}/starts/{binascii.crc32(json.dumps(words.key(environment)).encode()):08x}"


def _recall(path: str, key: list[object]) -> tuple[Head, str] | None:
    """Read how a container of these words is started, if all that this depends on is as it was."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
            first, second = file
        head: Head = json.loads(first)
        if head["key"] != key or not same(head["seen"]):
            return None
        _rely(head["relied"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, or of another version
        return None
    return head, second


def _make(head: Head, start: str, args: Sequence[str], containers: str) -> WarmContainer | None:
    """Make a container with the first name that is free, also of those who look for one now."""
    from tiffin.engine.embedded.made import Taken
    from tiffin.engine.embedded.warm import Changed, WarmContainer

    while True:
        name = free_name(head["stem"], lambda name: os.path.exists(f"{containers}/names/{name}"))  # noqa: PTH110 - as above
        said = filled(start, head["mark"], name, args)
        try:
            return WarmContainer(containers, said, _whole)
        except Taken:
            continue
        except Changed:
            return None


def filled(text: str, mark: str, name: str, args: Sequence[str]) -> Start:
    """Put what is new into what was decided: the container's name and ID, and the words after the program's."""
    from tiffin.engine.embedded.made import new_id

    text = text.replace(f"name_{mark}", name).replace(hostname(f"name_{mark}"), hostname(name))
    start: Start = json.loads(text.replace(f"id{mark}", new_id()))
    start["spec"]["argv"] = start["plan"]["launch"]["argv"] = [*start["plan"]["launch"]["argv"], *args]
    return start


def _rely(layers: list[str]) -> None:
    """Let layers be those that somebody has just relied on (see `unpacked`)."""
    for layer in layers:
        with contextlib.suppress(PermissionError):  # somebody else's, who alone may prune it
            if time.time() - os.stat(layer).st_mtime > FRESH_SECONDS:  # noqa: PTH116 - as above
                os.utime(layer)


def _join(data: str) -> int | None:
    """Be one of those who use the store, until this process ends (see `layout`)."""
    try:
        held = os.open(f"{data}/use.lock", os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_SH)
    except OSError:
        return None
    return held


def _whole(identity: str) -> Whole:
    """The same container with all that it can do."""
    from tiffin.api.containers.verbs import engine_of

    return engine_of().find(identity)
