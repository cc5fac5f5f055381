"""An engine whose containers are functions in threads: for tests of what is decided about containers.

Its programs are registered by name. A program is given its process, writes to it, watches for signals and returns an
exit code: enough to be a server that drains, one that ignores SIGTERM, or one that crashes when it is told to.
"""

from __future__ import annotations

import itertools
import os
import queue
import secrets
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec

from tiffin.engine.refused import absent_volume, does_not_run, runs_already, still_runs, used_volume, was_not_started
from tiffin.engine.spec import (
    KILLED,
    NOT_FOUND,
    Command,
    ContainerSpec,
    LogLine,
    Port,
    State,
    Status,
    Streams,
    Usage,
    named_volumes,
)
from tiffin.errors import ConflictError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.image import Image
from tiffin.oci.store import Store

Program = Callable[["Process"], int]
"""What runs in a container: it returns its exit code."""
_FIRST_CHOSEN_PORT = 32768


class Process:
    """A running program's view of the world: what it was started with, where it writes, and whether it should stop."""

    def __init__(self, spec: ContainerSpec, write: Callable[[str, str], None]) -> None:
        self.spec, self._write = spec, write
        self.stopping = threading.Event()
        self.signals: queue.SimpleQueue[str] = queue.SimpleQueue()
        """The signals that were sent, by name; its stop signal is `stopping` too."""

    def out(self, text: str) -> None:
        """Write a line to stdout."""
        self._write("stdout", text)

    def err(self, text: str) -> None:
        """Write a line to stderr."""
        self._write("stderr", text)


class MemoryEngine:
    """Runs containers of registered programs; a spec's first argument names the program."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = dict(programs)
        self._layers: set[Digest] = set()
        self._containers: dict[str, MemoryContainer] = {}
        self._volumes: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._pids = itertools.count(1)

    def load(self, store: Store, image: Image) -> None:
        """Take an image in: its layers are known from now on."""
        for descriptor in image.manifest.layers:
            store.open(descriptor).close()
        self.add(*image.config.rootfs.diff_ids)

    def add(self, *layers: Digest) -> None:
        """Let layers be known without an image."""
        self._layers.update(layers)

    def create(self, spec: ContainerSpec) -> MemoryContainer:
        """Make a container; raises ConflictError for a name that is taken, NotFoundError for what is absent."""
        with self._lock:
            if absent := [layer for layer in spec.layers if layer not in self._layers]:
                raise NotFoundError(f"layer {absent[0]} is not loaded", "load the image first")
            if spec.argv[0] not in self._programs:
                raise NotFoundError(f"{spec.image} has no program {spec.argv[0]!r}", "register it")
            if any(spec.name == other.spec.name for other in self._containers.values()):
                raise ConflictError(f"a container called {spec.name!r} exists already", "choose another name")
            made = MemoryContainer(self, spec, self._programs[spec.argv[0]])
            self._containers[made.id] = made
            self._volumes = dict.fromkeys(named_volumes(spec), tarfile.NUL * tarfile.RECORDSIZE) | self._volumes
            return made

    def volumes(self) -> Sequence[str]:
        """The volumes by name: tars, which no program reads."""
        return sorted(self._volumes)

    def export_volume(self, name: str, out: BinaryIO, owner: tuple[int, int]) -> None:  # noqa: ARG002 - kept as it came
        """Write the tar that a volume is."""
        if name not in self._volumes:
            raise absent_volume(name)
        out.write(self._volumes[name])

    def import_volume(self, name: str, source: BinaryIO, owner: tuple[int, int]) -> None:  # noqa: ARG002 - see above
        """Keep a tar as a volume."""
        self._volumes[name] = source.read()

    def remove_volume(self, name: str) -> None:
        """Forget a volume that no container has."""
        if users := [user for user in self.list() if name in named_volumes(user.spec)]:
            raise used_volume(name, users[0].spec.name)
        if self._volumes.pop(name, None) is None:
            raise absent_volume(name)

    def find(self, name: str) -> MemoryContainer:
        """Find a container by its name or ID; raises NotFoundError."""
        for container in self.list():
            if name in {container.id, container.spec.name}:
                return container
        raise NotFoundError(f"no container is called {name!r}", "list them to see what there is")

    def list(self) -> list[MemoryContainer]:
        """Every container, oldest first."""
        with self._lock:
            return [*self._containers.values()]

    def program(self, name: str) -> Program | None:
        """The program that was registered under a name."""
        return self._programs.get(name)

    def forget(self, container: MemoryContainer) -> None:
        """Remove a container from the list."""
        with self._lock:
            self._containers.pop(container.id, None)

    def claim(self, spec: ContainerSpec) -> tuple[int, tuple[Port, ...]]:
        """Give out a process number and ports; raises ConflictError for a port that a running container has."""
        with self._lock:
            taken = {port.host_port for other in self._containers.values() for port in other.state().ports}
            free = (number for number in itertools.count(_FIRST_CHOSEN_PORT) if number not in taken)
            for port in spec.ports:
                if port.host_port in taken:
                    raise ConflictError(
                        f"{spec.name}: port {port.host_port} of {port.host} is taken", "use `-p 0:PORT`"
                    )
            ports = (msgspec.structs.replace(port, host_port=port.host_port or next(free)) for port in spec.ports)
            return next(self._pids), tuple(ports)


class MemoryContainer:
    """A container of the memory engine; one thread a run."""

    def __init__(self, engine: MemoryEngine, spec: ContainerSpec, program: Program) -> None:
        self.id, self.spec = secrets.token_hex(6), spec
        self._engine, self._program = engine, program
        self._state = State()
        self._lines: list[LogLine] = []
        self._changed = threading.Condition()
        self._process: Process | None = None

    def start(self, *, attached: bool = False) -> None:  # noqa: ARG002 - whoever starts it and it die together anyway
        """Start the program in a thread."""
        if self.state().status is Status.RUNNING:
            raise runs_already(self.spec.name)
        pid, ports = self._engine.claim(self.spec)
        process = Process(self.spec, self._write)
        self._process = process
        self._set(State(status=Status.RUNNING, pid=pid, started=_now(), ports=ports))
        threading.Thread(target=lambda: self._ended(process, self._program(process)), daemon=True).start()

    def stop(self, seconds: float | None = None) -> None:
        """Tell the program to stop; one that has not returned in time counts as killed."""
        process = self._process
        if process is None:
            return
        process.stopping.set()
        patience = self.spec.stop_seconds if seconds is None else seconds
        with self._changed:
            self._changed.wait_for(lambda: self._process is not process, timeout=patience)
        self._ended(process, KILLED)

    def kill(self, signal: str = "SIGKILL") -> None:
        """Put the signal where the program looks; SIGKILL ends it whether it looks or not."""
        process = self._process
        if process is None:
            raise does_not_run(self.spec.name)
        if signal == "SIGKILL":
            self._ended(process, KILLED)
            return
        process.signals.put(signal)
        if signal == self.spec.stop_signal:
            process.stopping.set()

    def wait(self) -> int:
        """Wait for the exit code."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.status is not Status.RUNNING)
            if self._state.exit_code is None:
                raise was_not_started(self.spec.name)
            return self._state.exit_code

    def exec(self, command: Command, streams: Streams | None) -> int:
        """Run another of the engine's programs, writing to these descriptors, or left to itself in a thread."""
        if self._process is None:
            raise does_not_run(self.spec.name)
        program = self._engine.program(command.argv[0])
        if program is None:
            os.write(streams.stderr if streams else 2, f"{command.argv[0]}: not found\n".encode())
            return NOT_FOUND
        spec = msgspec.structs.replace(self.spec, argv=command.argv, env=self.spec.env | command.env)
        if streams is None:
            unheard = Process(spec, lambda _stream, _text: None)
            threading.Thread(target=program, args=(unheard,), daemon=True).start()
            return 0
        descriptors = {"stdout": streams.stdout, "stderr": streams.stderr}
        return program(Process(spec, lambda stream, text: _print(descriptors[stream], text)))

    def usage(self) -> Usage:
        """One thread, which is not measured."""
        if self._process is None:
            raise does_not_run(self.spec.name)
        return Usage(cpu_seconds=0.0, memory=0, processes=1)

    def state(self) -> State:
        """Look at it."""
        return self._state

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """Every line so far; following, every line until it exits."""
        for at in itertools.count():
            with self._changed:
                if follow:
                    self._changed.wait_for(lambda: len(self._lines) > at or self._process is None)  # noqa: B023 - at once
                if at >= len(self._lines):
                    return
                line = self._lines[at]
            yield line

    def remove(self, *, force: bool = False) -> None:
        """Forget it."""
        if self.state().status is Status.RUNNING:
            if not force:
                raise still_runs(self.spec.name)
            self.stop(0)
        self._engine.forget(self)

    def crash(self, reason: str) -> None:
        """End it as if the machine had, for tests of what happens then."""
        if self._process:
            self._ended(self._process, KILLED, reason)

    def _write(self, stream: str, text: str) -> None:
        with self._changed:
            self._lines.append(LogLine(time=_now(), stream=stream, text=text))
            self._changed.notify_all()

    def _ended(self, process: Process, code: int, reason: str = "") -> None:
        """Note the end of a process, once."""
        with self._changed:
            if self._process is process:
                self._process = None
                self._set(
                    State(
                        status=Status.EXITED,
                        exit_code=code,
                        started=self._state.started,
                        finished=_now(),
                        reason=reason,
                    )
                )

    def _set(self, state: State) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()


def _print(descriptor: int, text: str) -> None:
    os.write(descriptor, f"{text}\n".encode())


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
