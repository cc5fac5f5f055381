"""What every engine reads alike, and the two seams it gives: an engine makes containers, a container runs.

Abilities beyond these (exec, copy, attach, checkpoint) are Protocols of their own, asked for with `isinstance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.image import Image
from tiffin.oci.store import Store

STOP_SECONDS = 10.0
"""Seconds between the stop signal and SIGKILL where nobody says otherwise, as in docker."""
KILLED = 137
"""The exit code of a container that died of SIGKILL: 128 + 9, as a shell says it."""

NOT_FOUND, NOT_RUNNABLE = 127, 126
"""The exit codes of a program that is not there, and of one that cannot be run, as a shell says it."""


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder of the host that the container sees at `target`, or a volume, whose name is then its source."""

    source: str
    target: str
    read_only: bool = True
    volume: bool = False


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP port of the host that leads into the container; host port 0 lets the kernel choose.

    `socket` names the listening socket that is handed in (`dev.tiffin.sockets`); it is empty for an image that binds
    its own ports.
    """

    host: str = "127.0.0.1"
    host_port: int = 0
    container_port: int
    socket: str = ""


class Network(Enum):
    """What a container can reach: its own loopback, the outside from a network of its own, or all that the host can."""

    NONE = "none"
    USER = "user"
    HOST = "host"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most a container may use: bytes of memory, processors (1.5 is one and a half), processes; 0 is no limit."""

    memory: int = 0
    cpus: float = 0.0
    processes: int = 0


class RestartPolicy(Enum):
    """When a container that ended by itself is started again, as in docker; one that was stopped stays so."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """A restart policy; `tries` bounds the restarts after failures, 0 does not."""

    policy: RestartPolicy = RestartPolicy.NO
    tries: int = 0


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A file of this machine that only the container's user reads, at `/run/secrets/NAME`; its content is not kept."""

    name: str
    source: str


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a container from starting, and what to do about it."""

    message: str
    hint: str


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A container, before there is one: everything that decides how it runs.

    `layers` are diff IDs, bottom first; `user` is uid and gid; `sockets` is what the image listens on by name;
    `several_ids` says that the image expects users beside that one, and its files to have owners;
    `tmpfs` are further writable places in memory (`/tmp` and `/dev/shm` always are). `stdin` keeps its standard input
    open for whoever attaches, `tty` gives it a terminal; else it reads nothing. `remove` forgets it when it ends.
    `devices` are whole names of CDI devices, such as `nvidia.com/gpu=0`; what comes with them is found at every start.
    """

    name: str
    image: str
    digest: Digest
    layers: tuple[Digest, ...]
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = "/"
    user: tuple[int, int] = (65532, 65532)
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    sockets: dict[str, int] = {}
    read_only: bool = True
    several_ids: bool = False
    tmpfs: tuple[str, ...] = ()
    network: Network = Network.NONE
    stop_signal: str = "SIGTERM"
    stop_seconds: float = STOP_SECONDS
    labels: dict[str, str] = {}
    stdin: bool = False
    tty: bool = False
    limits: Limits = Limits()
    restart: Restart = Restart()
    secrets: tuple[Secret, ...] = ()
    remove: bool = False
    devices: tuple[str, ...] = ()


def named_volumes(spec: ContainerSpec) -> list[str]:
    """The volumes of a container by name, each once."""
    return sorted({mount.source for mount in spec.mounts if mount.volume})


class Status(Enum):
    """Where a container is in its life; an exited one may be started again."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a container is doing: `pid` is the host's, times are RFC 3339, `ports` are those really bound.

    `reason` says in words why a container ended that did not end by itself, `memory` where it took too much.
    `restarts` counts how often its policy started it again since somebody did; one that waits for that runs without a
    `pid`. `limits` says what holds each of its limits here.
    """

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int | None = None
    started: str = ""
    finished: str = ""
    ports: tuple[Port, ...] = ()
    reason: str = ""
    restarts: int = 0
    limits: dict[str, str] = {}


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that a container wrote, without its line feed; `stream` is stdout or stderr, `time` RFC 3339."""

    time: str
    stream: str
    text: str


class Container(Protocol):
    """A container that exists, running or not."""

    @property
    def id(self) -> str:
        """What no other container of this engine is called, ever."""
        ...

    @property
    def spec(self) -> ContainerSpec:
        """What it was made of."""
        ...

    def start(self, *, attached: bool = False) -> None:
        """Start it and return when its program is about to run.

        An attached container stops when the process that started it dies, for whatever reason. Raises ConflictError
        for a container that runs already and for a port that is taken, ConfigError for a mount that cannot be.
        """
        ...

    def stop(self, seconds: float | None = None) -> None:
        """Send the stop signal and, `seconds` later, SIGKILL; return when it has exited. An exited one stays so."""
        ...

    def kill(self, signal: str = "SIGKILL") -> None:
        """Send its program a signal, by name; raises ConflictError for one that does not run.

        Of SIGKILL it ends, and has ended when this returns. Its first process hears others only if it asked for them.
        """
        ...

    def wait(self) -> int:
        """Wait until it has exited and return its exit code; 128 + N for one that signal N ended."""
        ...

    def state(self) -> State:
        """Look at what it is doing now."""
        ...

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """Read what it has written so far; `follow` goes on until it exits."""
        ...

    def remove(self, *, force: bool = False) -> None:
        """Forget it and its log; raises ConflictError while it runs, unless `force` stops it first."""
        ...


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A further program for a container that runs; what is empty here is as the container has it.

    `env` comes on top of the container's; `tty` gives the program a terminal of its own.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = ""
    user: str = ""
    tty: bool = False


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptors of this process: what a program reads, nothing where it is None, and where what it writes goes."""

    stdin: int | None = None
    stdout: int
    stderr: int


@runtime_checkable
class CanExec(Protocol):
    """A container in which further programs can be run."""

    def exec(self, command: Command, streams: Streams | None) -> int:
        """Run a program in it, confined as it is, and return its exit code; it ends with this process.

        Without streams it is left to itself, unheard, and ends with the container; 0 says that it was begun. The code
        is 127 for a program that is not there, 126 for one that cannot be run, 128 + N for one that signal N ended.
        Raises ConflictError for a container that does not run.
        """
        ...


@runtime_checkable
class CanAttach(Protocol):
    """A container whose program can be spoken with: its input and terminal where it has them, all that it writes.

    Bytes go through as they are. A terminal among the streams is raw meanwhile if the container has one, which has its
    size, and is restored afterwards. Several may be attached at once. `detach_keys` (see `keys`) leave a container that
    has a terminal; then the answer is None, else the exit code. Raises BrokenPipeError when nobody reads the streams.
    """

    def attach(self, streams: Streams, detach_keys: str) -> int | None:
        """Attach to a container that runs, until it ends; raises ConflictError for one that does not run."""
        ...

    def run(self, streams: Streams, detach_keys: str, started: Callable[[], None]) -> int | None:
        """Start it, attached as `start` says, and miss nothing that it writes; `started` is called when it runs.

        Its input ends when that of the streams does. One that was left by the keys goes on by itself.
        """
        ...


@runtime_checkable
class CanCopy(Protocol):
    """A container whose files can be copied, as `docker cp` does: into a folder that is there, else under that name.

    `folder/.` means what is in the folder. Files, folders and links are copied, links as links. Raises NotFoundError,
    and ConflictError for a container that has to run and does not.
    """

    def copy_out(self, path: str, target: str) -> None:
        """Copy from a path in the container to one of this machine."""
        ...

    def copy_in(self, source: str, path: str) -> None:
        """Copy from a path of this machine to one in the container."""
        ...

    def tar_out(self, path: str, out: BinaryIO) -> None:
        """Write what is at a path in the container as a tar, under its last name; what is in it, for `folder/.`."""
        ...

    def tar_in(self, stream: BinaryIO, path: str) -> None:
        """Take in a tar, packed or not, into a folder that is in the container."""
        ...


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a container uses: seconds of processors since it started, bytes of memory now, processes now."""

    cpu_seconds: float
    memory: int
    processes: int


@runtime_checkable
class CanMeasure(Protocol):
    """A container that can be asked what it uses."""

    def usage(self) -> Usage:
        """Look at what it uses now; raises ConflictError for one that does not run."""
        ...


class Engine(Protocol):
    """What runs containers."""

    def load(self, store: Store, image: Image) -> None:
        """Take an image in; what is there already is not moved."""
        ...

    def create(self, spec: ContainerSpec) -> Container:
        """Make a container; raises ConflictError for a name that is taken, NotFoundError for an absent image."""
        ...

    def find(self, name: str) -> Container:
        """Find a container by its name or ID; raises NotFoundError."""
        ...

    def list(self) -> Sequence[Container]:
        """Every container, oldest first."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """An engine that can say, before anything is loaded or made, what would keep a container from starting."""

    def obstacles(self, spec: ContainerSpec) -> Sequence[Obstacle]:
        """Each thing that is in the way, and what to do about it; none where nothing is known to be."""
        ...


@runtime_checkable
class Surveys(Protocol):
    """An engine that looks at all its containers at once, where asking one by one would take long."""

    def survey(self) -> Sequence[tuple[Container, State]]:
        """Every container and what it is doing, oldest first."""
        ...


@runtime_checkable
class HasVolumes(Protocol):
    """An engine that keeps volumes: folders by name, made for the first container that mounts one, kept until removed.

    A volume moves as a tar of what is in it, names relative to it. All methods raise NotFoundError for a volume that
    is not there, but `import_volume`, which makes it.
    """

    def volumes(self) -> Sequence[str]:
        """The names of the volumes that were made for containers, sorted."""
        ...

    def export_volume(self, name: str, out: BinaryIO, owner: tuple[int, int]) -> None:
        """Write what is in it; an engine whose volumes have one owner for all files calls that one `owner`."""
        ...

    def import_volume(self, name: str, source: BinaryIO, owner: tuple[int, int]) -> None:
        """Let it have what the stream has and nothing else, the folder itself being `owner`'s.

        Raises ConflictError where a container has it that would not notice.
        """
        ...

    def remove_volume(self, name: str) -> None:
        """Forget it and what is in it; raises ConflictError while a container has it."""
        ...


@runtime_checkable
class Refuses(Protocol):
    """An engine that can say before an image is there what it cannot do."""

    def refuse(self, spec: ContainerSpec) -> None:
        """Raise what `create` would raise for this container, as far as it shows in the spec alone."""
        ...
