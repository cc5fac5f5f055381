"""One more program in a container that runs: enters its namespaces, and gives up what the container never had.

Started by `exec`, whose descriptors it has as standard streams. This process stays outside the container's pid
namespace and waits; its child is inside, and ends with it. Nothing of the host is left in what the container can see of
the child: it is hidden (PR_SET_DUMPABLE) until it has become the program. Standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
import termios

from tiffin.engine.embedded import hop, linux, stage

NOT_ENTERED, NOT_RUNNABLE, NOT_FOUND = 125, 126, 127
"""Exit codes as docker gives them."""
_SIGNAL = 128
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
_BEFORE_MOUNTS = ("ipc", "uts", "net", "pid", "cgroup")
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441
"""ioctls of a terminal's master: unlock it, and open its other end without a path (ioctl_tty(2))."""

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    class Program(TypedDict):
        """What is run, and how it is confined; it is the `user` of several that the container has."""

        become: int | None
        group: int | None
        groups: list[int]
        user: list[int] | None
        capabilities: int
        argv: list[str]
        env: dict[str, str]
        cwd: str
        seccomp: str

    class Plan(Program):
        """What `exec` says besides; `process` is a descriptor of /proc/`pid`, `lifeline` ends with the caller.

        Without a lifeline the program is left to itself; what kept it from beginning is written to `begun`, which
        ends with the first of both. `terminal` is a socket to which the master of a new terminal is sent, and `size`
        its lines and columns.
        """

        pid: int
        process: int
        lifeline: int | None
        begun: int | None
        terminal: int | None
        size: tuple[int, int]


def main() -> None:
    """Enter the container, run the program there, exit as it does."""
    with open(int(sys.argv[1]), "rb") as paper:  # noqa: PTH123 - a descriptor
        plan: Plan = json.load(paper)
    try:
        child = _enter(plan)
    except OSError as error:
        _fail(plan, NOT_ENTERED, f"cannot enter the container: {error}")
    if plan["lifeline"] is None:
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else _SIGNAL - code)


def _enter(plan: Plan) -> int:
    """Join every namespace and fork into the container; returns the child."""
    wanted = _namespaces(plan["process"])
    _share_limits(plan["process"])
    stage.become(plan["become"], plan["group"], plan["groups"])
    limits = [(kind, *resource.prlimit(plan["pid"], kind)) for kind in _LIMITS]  # as its user: root may not ask
    linux.hide()
    for namespace in wanted:
        linux.setns(namespace)
    if plan["lifeline"] is not None:
        linux.die_with_parent(signal.SIGKILL)
        if stage.closed(plan["lifeline"]):  # the caller died before we asked to die with it
            os._exit(NOT_ENTERED)
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.dup2(writing, 0)  # the one descriptor that stays, until we end
        os.closerange(1, _descriptors())
        return child
    os.close(writing)
    try:
        _become_program(plan, reading, limits)
    except OSError as error:
        _fail(plan, NOT_RUNNABLE, f"cannot run {plan['argv'][0]}: {error}")
    finally:
        os._exit(NOT_ENTERED)


def _namespaces(process: int) -> list[int]:
    """Open what has to be entered, in this order: the owner of the mounts first, since that may enter all others."""
    mounts = _open(process, "mnt")
    wanted = [fcntl.ioctl(mounts, linux.NS_GET_USERNS), *(_open(process, name) for name in _BEFORE_MOUNTS)]
    wanted += [mounts, _open(process, "user")]
    own = {os.stat(f"/proc/self/ns/{name}").st_ino for name in (*_BEFORE_MOUNTS, "mnt", "user")}  # noqa: PTH116 - see `stage`
    distinct: dict[int, int] = {}
    for namespace in wanted:
        distinct.setdefault(os.fstat(namespace).st_ino, namespace)
    return [namespace for inode, namespace in distinct.items() if inode not in own]


def _open(process: int, name: str) -> int:
    return os.open(f"ns/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)


def _share_limits(process: int) -> None:
    """Join the container's control groups, where they are others than ours and may be written."""
    theirs, own = (_lines(name, folder) for name, folder in (("cgroup", process), ("/proc/self/cgroup", None)))
    for line in theirs - own:
        _, controllers, path = line.split(":", 2)
        try:
            with open(f"/sys/fs/cgroup/{controllers}{path}/cgroup.procs", "w") as stream:  # noqa: PTH123 - see `stage`
                stream.write("0")
        except OSError:  # another session's, which is no limit of the container's
            continue


def _lines(name: str, folder: int | None) -> set[str]:
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)) as stream:
        return set(stream.read().splitlines())


def _become_program(plan: Plan, lifeline: int, limits: list[tuple[int, int, int]]) -> NoReturn:
    os.setsid()
    if plan["terminal"] is not None:
        _take_terminal(socket.socket(fileno=plan["terminal"]), plan["size"])
    stage.heed_signals()
    _limit(limits)
    linux.no_new_privileges()
    linux.bound_capabilities(plan["capabilities"])
    if plan["user"]:
        stage.become(plan["user"][0], plan["user"][1])
    linux.drop_capabilities(plan["capabilities"])
    if plan["lifeline"] is not None:
        linux.die_with_parent(signal.SIGKILL)
        if stage.closed(lifeline):
            os._exit(NOT_ENTERED)
    if plan["begun"] is not None:
        plan["begun"] = os.dup2(plan["begun"], 3, inheritable=False)
    os.closerange(3 if plan["begun"] is None else 4, _descriptors())
    os.chdir(plan["cwd"])  # with nothing of the host open, to which a link might lead
    os.umask(0o022)
    last = hop.sealed()
    linux.filter_calls(bytes.fromhex(plan["seccomp"]))
    _execute(last, plan)


def _take_terminal(channel: socket.socket, size: tuple[int, int]) -> None:
    """Make a terminal of the container's own, control it, and give its other end to the caller."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    terminal = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    socket.send_fds(channel, [b"t"], [master])
    for number in range(3):
        os.dup2(terminal, number)


def _limit(limits: list[tuple[int, int, int]]) -> None:
    """Take the container's limits on; where ours are lower, they stay."""
    for kind, soft, hard in limits:
        _, highest = resource.getrlimit(kind)
        lower = [highest if limit == -1 or -1 < highest < limit else limit for limit in (soft, hard)]
        resource.setrlimit(kind, (lower[0], lower[1]))


def _execute(last: int, plan: Plan) -> NoReturn:
    """Look the program up as a shell would, and become it by way of the `last` program that is ours (see `hop`)."""
    argv, env = plan["argv"], plan["env"]
    folders = [""] if "/" in argv[0] else [f"{folder or '.'}/" for folder in env.get("PATH", "").split(":")]
    refusal: OSError | None = None
    for folder in folders:
        try:
            _check_program(folder + argv[0])
            os.execve(last, [folder + argv[0], *argv], env)  # noqa: S606 - see `stage`
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                refusal = error
    if refusal:
        _fail(plan, NOT_RUNNABLE, f"cannot run {argv[0]}: {refusal.strerror}")
    _fail(plan, NOT_FOUND, f"{argv[0]}: not found")


def _check_program(path: str) -> None:
    """Raise what execve would, as far as the file itself says."""
    if not stat.S_ISREG(os.stat(path).st_mode) or not os.access(path, os.X_OK):  # noqa: PTH116 - see `stage`
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _fail(plan: Plan, code: int, message: str) -> NoReturn:
    """Say why the program does not run, to whoever listens."""
    if plan["begun"] is None:
        os.write(2, f"tiffin: {message}\n".encode())
    else:
        os.write(plan["begun"], json.dumps([code, f"tiffin: {message}\n"]).encode())
    os._exit(code)
