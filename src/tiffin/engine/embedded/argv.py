"""From a ContainerSpec to bubblewrap's arguments: pure, and so easily looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiffin.engine.embedded.made import UPPER, WORK
from tiffin.engine.embedded.stage import STAGE, TOP
from tiffin.engine.naming import hostname
from tiffin.engine.plan import CAPABILITIES
from tiffin.engine.spec import ContainerSpec, Mount, Network

ALONE = (
    "--unshare-user",
    "--unshare-pid",
    "--as-pid-1",  # a first process of bubblewrap's own ties its life to ours only after the program has begun
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
)
"""What every container has of its own, and what it never has."""
ROOT = "r"
"""The short name of the folder where a container keeps what it writes to its root."""


def bubblewrap_arguments(
    spec: ContainerSpec, masked: Sequence[str], secrets: str = "", nodes: Sequence[str] = (), *, mapped: bool = False
) -> list[str]:
    """All of bubblewrap's options but descriptors; paths of the spec have been resolved, sources have short names.

    `masked` are the files and folders of /proc that this kernel has and no container should read; `secrets` is the
    folder in memory that its user's secrets go to, if it has any; `nodes` are the options that put further nodes into
    /dev. `mapped` says that somebody else writes the container's map of ids, and that bubblewrap is its user already.
    """
    return [
        # A terminal's session begins outside (see `terminal`); the terminal is the container's own, so no harm is done.
        *(word for word in ALONE if not (spec.tty and word == "--new-session")),
        *([] if spec.network is Network.HOST else ["--unshare-net"]),
        *(_capabilities(spec) if mapped else ("--uid", str(spec.user[0]), "--gid", str(spec.user[1]))),
        *("--hostname", hostname(spec.name)),
        *root(len(set(spec.layers)), writable=not spec.read_only),
        *kernel(masked, nodes),
        *_tmpfs(("/tmp", *spec.tmpfs)),  # noqa: S108 - the container's own
        *_flat(bind(number, mount) for number, mount in enumerate(spec.mounts)),
        *(("--perms", "0700", "--tmpfs", secrets) if secrets else ()),
        *("--chdir", spec.cwd, "--clearenv"),
        *_flat(("--setenv", key, value) for key, value in environment(spec).items()),
    ]


def root(layers: int, *, writable: bool = False) -> list[str]:
    """Stack this many layers, bottom first, and the top one over them, read-only unless what is written is kept."""
    sources = [*(f"{STAGE}/{number}" for number in range(layers)), TOP]
    kept = ("--overlay", f"{STAGE}/{ROOT}/{UPPER}", f"{STAGE}/{ROOT}/{WORK}") if writable else ("--ro-overlay",)
    return [*_flat(("--overlay-src", source) for source in sources), *kept, "/"]


def _capabilities(spec: ContainerSpec) -> list[str]:
    """Give root the capabilities it has within the container, and anybody else none."""
    return _flat(("--cap-add", name) for name in (CAPABILITIES if spec.user[0] == 0 else ()))


def kernel(masked: Sequence[str], nodes: Sequence[str] = ()) -> list[str]:
    """Give /proc, /dev and the little of /sys that counts processors, all of it unwritable."""
    hidden = _flat(
        ("--tmpfs", path[:-1], "--remount-ro", path[:-1]) if path.endswith("/") else ("--dev-bind", "/dev/null", path)
        for path in masked
    )
    processors = _flat(
        ("--ro-bind-try", path, path) for path in ("/sys/devices/system/cpu", "/sys/devices/system/node")
    )
    return [
        *("--proc", "/proc", *hidden),
        *("--dev", "/dev", *nodes, *_tmpfs(["/dev/shm"]), "--remount-ro", "/dev"),  # noqa: S108 - the container's own
        *("--tmpfs", "/sys", *processors, "--remount-ro", "/sys"),
    ]


def bind(number: int, mount: Mount) -> tuple[str, str, str]:
    """Mount what the stage calls by this number."""
    return ("--ro-bind" if mount.read_only else "--bind", f"{STAGE}/{mount_name(number)}", mount.target)


def mount_name(number: int) -> str:
    """The short name of a mount's source."""
    return f"m{number}"


def environment(spec: ContainerSpec) -> dict[str, str]:
    """The container's environment: what the image and the user say, who it is, and which sockets it inherits."""
    terminal = {"TERM": "xterm"} if spec.tty else {}
    own = {"HOSTNAME": hostname(spec.name), "HOME": "/"} | terminal | spec.env | {"TIFFIN_IMAGE": str(spec.digest)}
    names = [port.socket for port in spec.ports if port.socket]
    if not names:
        return own
    return own | {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}


def _tmpfs(paths: Iterable[str]) -> list[str]:
    return _flat(("--perms", "1777", "--tmpfs", path) for path in paths)


def _flat(parts: Iterable[Iterable[str]]) -> list[str]:
    return [text for part in parts for text in part]
