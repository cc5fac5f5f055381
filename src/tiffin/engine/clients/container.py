"""A container of docker or podman, seen through the program's command line; nothing is remembered here."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator

from tiffin.engine.clients import argv, refusals, seen
from tiffin.engine.clients.follow import Reader, by_time, without
from tiffin.engine.clients.program import Program
from tiffin.engine.clients.seeing import obstacles
from tiffin.engine.data import refuse
from tiffin.engine.spec import ContainerSpec, LogLine, State, Status
from tiffin.errors import ConflictError


class ClientContainer:
    """A container that tiffin made there."""

    def __init__(self, program: Program, identity: str, spec: ContainerSpec) -> None:
        self._program, self.id, self.spec = program, identity, spec
        self._lease = -1

    def start(self, *, attached: bool = False) -> None:
        """Start it (see `Container.start`)."""
        if self.state().status is Status.RUNNING:
            raise ConflictError(f"{self.spec.name} runs already", f"stop it: `tiffin stop {self.spec.name}`")
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
        if self.state().status is Status.RUNNING:
            self._program.ask(argv.stop(self.id, self.spec.stop_seconds if seconds is None else seconds))

    def kill(self, signal: str = "SIGKILL") -> None:
        """Send its program a signal, by name; of SIGKILL it has ended when this returns."""
        if self.state().status is not Status.RUNNING:
            raise ConflictError(f"{self.spec.name} does not run", f"start it: `tiffin start {self.spec.name}`")
        self._program.ask(argv.kill(self.id, signal))
        if signal == "SIGKILL":
            self._program.ask(argv.wait(self.id))

    def wait(self) -> int:
        """Wait for its end (see `Container.wait`)."""
        if self.state().status is Status.CREATED:
            raise ConflictError(f"{self.spec.name} was not started", f"start it: `tiffin start {self.spec.name}`")
        status = int(self._program.ask(argv.wait(self.id)))
        if self._lease >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._lease, b"ended\n")
            os.close(self._lease)
            self._lease = -1
        return status

    def state(self) -> State:
        """Look at what it is doing now; raises NotFoundError for one that was removed meanwhile."""
        for found in seen.read(self._program.attempt(argv.inspect([self.id])).out):
            return found.as_state(self.spec)
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
        if self.state().status is Status.RUNNING:
            if not force:
                raise ConflictError(
                    f"{self.spec.name} is running", f"stop it first, or `tiffin rm -f {self.spec.name}`"
                )
            self.stop(0)
        self._program.ask(argv.remove(self.id))
