"""From the host to the brink of a container: namespaces, short names for everything it needs, an unprivileged user.

Runs in the process that becomes bubblewrap. Layers and mounts get names of a few bytes in a private `/tmp`: overlay's
options are limited to one page, and a data folder that only root can reach is reachable there. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import stat

from tiffin.engine.embedded import linux

STAGE = "/tmp"  # noqa: S108 - a mount of our own, seen by nobody else; bubblewrap needs a /tmp anyway
"""Where short names live, in a mount namespace of our own."""
TOP = f"{STAGE}/top"
"""The topmost layer: mount points and the few files that are written for each container."""

TYPE_CHECKING = False  # what `typing` calls the same; importing it would cost the keeper milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from tiffin.engine.embedded import mapping

    class Launch(TypedDict):
        """What is to be built and run; `launch` writes it, as JSON, and nobody else.

        `binds` are sources and short names; `mounts` are short name, source and whether it must be writable; `folders`,
        `files` and `links` make up the top layer, `owners` are uid, gid and mode of what is in it; `program` is
        bubblewrap's path there, `arguments` its NUL-separated own. As root all processes `become` that user and
        `group`, with the `groups` of devices; of several ids there are `maps`, and the program is the `user` of them.
        `relays` are ports of the container by listener, 0 for one that is handed in; `outside` is the command that
        connects the container's network to the host's; `secrets` is the folder of secrets, if there are any.
        """

        become: int | None
        group: int | None
        user: list[int] | None
        maps: mapping.Maps | None
        relays: list[int]
        outside: list[str]
        binds: list[tuple[str, str]]
        mounts: list[tuple[str, str, bool]]
        folders: list[tuple[str, int]]
        files: dict[str, str]
        links: dict[str, str]
        groups: list[int]
        owners: list[tuple[str, int, int, int]]
        program: str
        arguments: list[str]
        argv: list[str]
        seccomp: str
        secrets: str


class Refused(Exception):  # noqa: N818 - it is reported by name, as JSON, to whoever starts the container
    """The container cannot be; `kind` is the code of the error that the caller raises."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind, self.hint = kind, hint


def enter_user_namespace(maps: mapping.Maps | None = None) -> None:
    """As an ordinary user: become somebody who may mount, in a namespace where ids are what they were, or mapped."""
    if maps:
        from tiffin.engine.embedded import mapping  # noqa: PLC0415 - only containers with several users need it

        mapping.enter(maps)
        return
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        _write(f"/proc/self/{name}", text)


def become(user: int | None, group: int | None = None, groups: Sequence[int] = ()) -> None:
    """As root: become an unprivileged user with one group, its own or another, and those of its devices, for good."""
    if user is not None:
        only = user if group is None else group
        os.setgroups(groups)
        os.setresgid(only, only, only)
        os.setresuid(user, user, user)


def build(launch: Launch) -> None:
    """Give everything its short name; this is the first process of a pid namespace."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
    opened = [(os.open(source, os.O_PATH | os.O_CLOEXEC), name) for source, name in launch["binds"]]
    linux.mount("tmpfs", STAGE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755")
    for descriptor, name in opened:
        _bind(descriptor, f"{STAGE}/{name}")
    linux.make_read_only(f"{STAGE}/b")  # a container can come by bubblewrap, which is in it: see ADR 22
    _write_top(launch)
    # bubblewrap finds its child by number in /proc, so /proc must count as it does
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


def check_mounts(launch: Launch) -> None:
    """Refuse mounts that the container's user cannot use; asked after `become`, so the kernel answers for that user."""
    for name, source, writable in launch["mounts"]:
        path = f"{STAGE}/{name}"
        folder = os.path.isdir(path)  # noqa: PTH112 - pathlib would double the keeper's start-up time
        need = os.R_OK | (os.X_OK if folder else 0) | (os.W_OK if writable else 0)
        if not os.access(path, need):
            device = stat.S_ISCHR(os.stat(path).st_mode)  # noqa: PTH116 - see above
            raise _unusable(source, folder=folder, device=device, writable=writable)


def heed_signals() -> None:
    """Ignore no signal: a program would inherit what Python ignores, SIGPIPE, and what whoever started us does."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def exec_bubblewrap(launch: Launch, streams: list[int], handed: list[int], tail: Tail) -> None:
    """Become bubblewrap; the program gets the streams as 0, 1, 2 and what is handed in as 3, …; does not return."""
    linux.die_with_parent(signal.SIGKILL)
    if tail.lifeline is not None and closed(tail.lifeline):  # the parent died before we asked to die with it
        os._exit(1)
    heed_signals()
    os.chdir("/")
    os.umask(0o022)
    own = [Option("--add-seccomp-fd", _in_memory(bytes.fromhex(launch["seccomp"]))), *tail.options]
    first = len(streams) + len(handed)
    distinct = list(dict.fromkeys(option.descriptor for option in own))
    numbered = [text for option in own for text in option.words(first + distinct.index(option.descriptor))]
    arguments = _in_memory("".join(f"{text}\0" for text in (*launch["arguments"], *numbered)).encode())
    _arrange([*streams, *handed, *distinct, arguments])
    command = [launch["program"], "--args", str(first + len(distinct)), "--", *launch["argv"]]
    os.execve(launch["program"], command, {"LC_ALL": "C"})  # noqa: S606 - the keeper imports no subprocess


class Option:
    """An option of bubblewrap that takes a descriptor, by the number it will have, and words around it."""

    def __init__(self, name: str, descriptor: int, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> None:
        self._name, self.descriptor, self._before, self._after = name, descriptor, before, after

    def words(self, number: int) -> tuple[str, ...]:
        """How it is said."""
        return (*self._before, self._name, str(number), *self._after)


class Tail:
    """What bubblewrap is given besides the program's own descriptors: its options that take one, and a lifeline."""

    def __init__(self, options: list[Option], lifeline: int | None = None) -> None:
        self.options, self.lifeline = options, lifeline


def _bind(descriptor: int, target: str) -> None:
    """Mount what the descriptor means; a folder on a folder, anything else on a file."""
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):  # noqa: PTH112 - see above
        os.mkdir(target, 0o755)  # noqa: PTH102 - see above
    else:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o444))
    linux.mount(source, target, flags=linux.MS_BIND | linux.MS_REC)
    os.close(descriptor)


def _write_top(launch: Launch) -> None:
    os.umask(0)
    os.mkdir(TOP, 0o755)  # noqa: PTH102 - see above
    for path, mode in launch["folders"]:
        os.mkdir(TOP + path, mode)  # noqa: PTH102 - see above
    for path, text in launch["files"].items():
        _write(TOP + path, text, os.O_CREAT | os.O_EXCL)
    for path, text in launch["links"].items():
        os.symlink(text, TOP + path)  # noqa: PTH211 - see above
    for path, uid, gid, mode in launch["owners"]:
        os.chown(TOP + path, uid, gid)
        os.chmod(TOP + path, mode)  # noqa: PTH101 - see above


def _write(path: str, text: str, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o644)
    try:
        os.write(descriptor, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)


def _arrange(descriptors: list[int]) -> None:
    """Number the descriptors 0, 1, 2, …: first out of each other's way, then into place; all others close on exec."""
    clear = [os.dup(descriptor) for descriptor in descriptors]
    while any(descriptor < len(clear) for descriptor in clear):
        clear = [os.dup(d) if d < len(clear) else d for d in clear]
    for number, descriptor in enumerate(clear):
        os.dup2(descriptor, number, inheritable=True)


def _in_memory(data: bytes) -> int:
    """Put bytes where only a descriptor leads; a command line could be read by every user of the machine."""
    descriptor = os.memfd_create("tiffin")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def closed(descriptor: int) -> bool:
    """Say whether nobody is left at the other end."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def _unusable(source: str, *, folder: bool, device: bool, writable: bool) -> Refused:
    rights = ("rw" if writable else "r") + ("X" if folder else "")
    doing = "written" if writable else "read"
    if device:
        return Refused(
            "config",
            f"the device {source} cannot be opened by the container's user",
            f"`sudo chmod o+{rights} {source}`, or as an ordinary user be in its group: `stat -c %G {source}`",
        )
    recursive = "-R " if folder else ""
    return Refused(
        "config",
        f"{source} cannot be {doing} by the container's user",
        f"allow it: `chmod {recursive}o+{rights} {source}`",
    )
