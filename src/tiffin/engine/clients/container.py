"""A container of docker or podman, seen through the program's command line; nothing is remembered here."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from tiffin.engine.clients import argv, refusals, secrets, seen
from tiffin.engine.clients.attach import Speaker
from tiffin.engine.clients.execute import execute, leave
from tiffin.engine.clients.follow import Reader, by_time, without
from tiffin.engine.clients.local import process_of
from tiffin.engine.clients.program import Program
from tiffin.engine.clients.seeing import obstacles
from tiffin.engine.data import refuse
from tiffin.engine.embedded.copying import Files
from tiffin.engine.embedded.usage import usage_of
from tiffin.engine.keys import parse_keys
from tiffin.engine.plan import absolute, checked
from tiffin.engine.refused import does_not_run, runs_already, still_runs, was_not_started
from tiffin.engine.spec import Command, ContainerSpec, LogLine, RestartPolicy, State, Status, Streams, Usage
from tiffin.errors import NotFoundError, UnsupportedError

STOPS = 10
"""How often one that is restarted over and over is told to stop, where the program fails at it."""


class ClientContainer:
    """A container that tiffin made there."""

    def __init__(self, program: Program, identity: str, spec: ContainerSpec, copies: Path) -> None:
        self._program, self.id, self.spec, self._copies = program, identity, spec, copies
        self._lease = -1

    def start(self, *, attached: bool = False) -> None:
        """Start it (see `Container.start`)."""
        if self.state().status is Status.RUNNING:
            raise runs_already(self.spec.name)
        refuse(obstacles(self._program, self.spec))
        command = argv.start(self.id)
        done = self._program.attempt(command)
        if done.status:
            raise refusals.started(self.spec, done.said) or self._program.refusal(command, done.status, done.said)
        if attached:
            self._watch()

    def _watch(self) -> None:
        """Leave a process that stops the container when this one dies: the program itself would let it go on."""
        theirs, self._lease = os.pipe()
        try:
            stop = self._program.argv(argv.stop(self.id, self.spec.stop_seconds))
            self._program.leave(argv.watch(stop), theirs)
        finally:
            os.close(theirs)

    def stop(self, seconds: float | None = None) -> None:
        """Stop it (see `Container.stop`); seconds are whole ones here, rounded up."""
        patience = self.spec.stop_seconds if seconds is None else seconds
        running = self.state().status is Status.RUNNING
        tries = STOPS
        while running:  # podman's stop does nothing, or fails, between an end and the restart after it
            command = argv.stop(self.id, patience)
            done = self._program.attempt(command)
            running = self._runs()
            tries -= 1
            if running and done.status and not (self._restarts() and tries):
                raise self._program.refusal(command, done.status, done.said)

    def kill(self, signal: str = "SIGKILL") -> None:
        """Send its program a signal, by name; of SIGKILL it has ended when this returns."""
        self._check_running()
        command = argv.kill(self.id, signal)
        done = self._program.attempt(command)
        if done.status and not self._restarts():
            raise self._program.refusal(command, done.status, done.said)
        if signal == "SIGKILL":
            self.stop(0)  # one that is between an end and a restart hears no signal
            self._program.ask(argv.wait(self.id))

    def wait(self) -> int:
        """Wait for its end (see `Container.wait`)."""
        if self.state().status is Status.CREATED:
            raise was_not_started(self.spec.name)
        status = int(self._program.ask(argv.wait(self.id)))
        while self._goes_on():
            status = int(self._program.ask(argv.wait(self.id)))
        self._release()
        return status

    def _release(self) -> None:
        """Let the process that would stop it go."""
        if self._lease >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._lease, b"ended\n")
            os.close(self._lease)
            self._lease = -1

    def run(self, streams: Streams, detach_keys: str, started: Callable[[], None]) -> int | None:
        """Start it with these streams (see `CanAttach.run`)."""
        parse_keys(detach_keys)
        before = self.state()
        if before.status is Status.RUNNING:
            raise runs_already(self.spec.name)
        refuse(obstacles(self._program, self.spec))
        self._watch()
        try:
            status = Speaker(self._program, self.id, self.spec, streams).run(
                detach_keys, lambda: (now := self._now()) is None or now.started != before.started, started
            )
            return self._outcome() if not self.spec.remove or self._runs() else status
        finally:
            if not self._runs():
                self._release()

    def _now(self) -> State | None:
        """What it is doing; None for one that was removed at its end."""
        with self._maybe_removed():
            return self.state()
        return None

    @contextlib.contextmanager
    def _maybe_removed(self) -> Iterator[None]:
        """Ask of one that may have been removed at its end meanwhile."""
        try:
            yield
        except NotFoundError:
            if not self.spec.remove:
                raise

    def _runs(self) -> bool:
        now = self._now()
        return now is not None and now.status is Status.RUNNING

    def attach(self, streams: Streams, detach_keys: str) -> int | None:
        """Attach to it (see `CanAttach`)."""
        parse_keys(detach_keys)
        self._check_running()
        Speaker(self._program, self.id, self.spec, streams).attach(detach_keys)
        return self._outcome()

    def _outcome(self) -> int | None:
        """How it ended, or that it was left and goes on."""
        if self.state().status is Status.RUNNING:
            self._release()
            return None
        return self.wait()

    def exec(self, command: Command, streams: Streams | None) -> int:
        """Run a further program in it (see `CanExec`)."""
        checked(command.env)
        if command.cwd:
            absolute("working directory", command.cwd)
        self._check_running()
        return execute(self._program, self.id, command, streams) if streams else leave(self._program, self.id, command)

    def usage(self) -> Usage:
        """Add up what its processes use (see `CanMeasure`); raises UnsupportedError where they are not here."""
        with self._process() as process:
            if process is None:
                name = self._program.dialect.name
                raise UnsupportedError(
                    f"{self.spec.name} is not on this machine, or not yours to look at",
                    f"`{name} stats {self.spec.name}` asks {name} itself",
                )
            return usage_of(process)

    def copy_out(self, path: str, target: str) -> None:
        """Copy to this machine (see `CanCopy`)."""
        with self._process() as process:
            if process is None:
                self._copy([f"{self.id}:{path}", target])
            else:
                self._files(process).copy_out(path, target)

    def copy_in(self, source: str, path: str) -> None:
        """Copy from this machine (see `CanCopy`)."""
        with self._process() as process:
            if process is None:
                self._copy([source, f"{self.id}:{path}"])
            else:
                self._files(process).copy_in(source, path)

    def tar_out(self, path: str, out: BinaryIO) -> None:
        """Write a tar of what it has (see `CanCopy`)."""
        with self._process() as process:
            if process is None:
                self._program.drain(argv.copy([f"{self.id}:{path}", "-"]), lambda stream: copyfileobj(stream, out))
            else:
                self._files(process).tar_out(path, out)

    def tar_in(self, stream: BinaryIO, path: str) -> None:
        """Take a tar in (see `CanCopy`)."""
        with self._process() as process:
            if process is None:
                self._program.feed(argv.copy(["-", f"{self.id}:{path}"]), lambda out: copyfileobj(stream, out))
            else:
                self._files(process).tar_in(stream, path)

    def _files(self, process: int) -> Files:
        return Files(process, self.spec.name, self.spec.user if os.geteuid() == 0 else None)

    def _copy(self, paths: list[str]) -> None:
        """Have the program copy, where we cannot see the container's files ourselves."""
        done = self._program.attempt(argv.copy(paths))
        if done.status:
            raise refusals.copied(self.spec, done.said) or self._program.refusal(["cp"], done.status, done.said)

    @contextlib.contextmanager
    def _process(self) -> Iterator[int | None]:
        state = self.state()
        if state.status is not Status.RUNNING:
            raise does_not_run(self.spec.name)
        with process_of(self.id, state.pid) as process:
            yield process

    def _check_running(self) -> None:
        if self.state().status is not Status.RUNNING:
            raise does_not_run(self.spec.name)

    def _goes_on(self) -> bool:
        """Whether an end was not the last: these programs may also tell of one that a restart follows."""
        return self._restarts() and self.state().status is Status.RUNNING

    def _restarts(self) -> bool:
        return self.spec.restart.policy is not RestartPolicy.NO

    def state(self) -> State:
        """Look at what it is doing now; raises NotFoundError for one that was removed meanwhile."""
        return self._look().as_state(self.spec, self._program.dialect.name)

    def _look(self) -> seen.Seen:
        for found in seen.read(self._program.attempt(argv.inspect([self.id])).out):
            return found
        raise self._program.absent(self.spec.name)

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """Read what it has written (see `Container.logs`)."""
        if self.state().status is Status.CREATED:
            return
        given: Counter[str] = Counter()
        if follow:
            following, waiting = argv.logs(self.id, follow=True), argv.wait(self.id)
            with self._program.reading(following) as process, self._program.reading(waiting) as waiter:
                reader = Reader(process, waiter)
                for burst in reader.bursts():
                    yield from burst
            if reader.is_whole:
                return
            given = reader.given
        yield from without(self._written(), given)

    def _written(self) -> list[LogLine]:
        command = argv.logs(self.id, follow=False)
        with self._program.reading(command) as process:
            reader = Reader(process)
            lines = by_time(line for burst in reader.bursts() for line in burst)
            if status := process.wait():
                raise self._program.refusal(command, status, "\n".join(reader.said))
        return lines

    def remove(self, *, force: bool = False) -> None:
        """Forget it (see `Container.remove`)."""
        found = self._look()
        if found.is_running():
            if not force:
                raise still_runs(self.spec.name)
            self.stop(0)
        self._program.ask(argv.remove(self.id))
        secrets.remove(self._copies, found.secrets)
