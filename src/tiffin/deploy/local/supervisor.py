"""The supervisor: keeps every service of this machine as it is wanted, until it is told to stop, and they go on.

It remembers nothing that is not in the file of `state` or seen: it may be killed at any time, and the next one goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tiffin.deploy.local import clock
from tiffin.deploy.local.api import Api
from tiffin.deploy.local.edge.caddy import Edge
from tiffin.deploy.local.edge.hosts import routes_of
from tiffin.deploy.local.exporter import Address
from tiffin.deploy.local.names import write_hosts
from tiffin.deploy.local.places import DATABASE, FOLDER, LOCK, POKE, SOCKET, home_of
from tiffin.deploy.local.pokes import Pokes
from tiffin.deploy.local.replicas import Found, survey
from tiffin.deploy.local.services import Services
from tiffin.deploy.local.state import State
from tiffin.deploy.local.tended import TROUBLE_SECONDS, Tended
from tiffin.deploy.local.watching import Watching
from tiffin.deploy.local.workshop import Workshop
from tiffin.engine.spec import Engine
from tiffin.errors import ConflictError, NotFoundError, TiffinError

THREADS = 8
KEEPER_SECONDS = 1.0
"""How long is waited for the number of the process that has just begun to keep services."""
EDGE_SECONDS = 2.0
"""How soon is seen that the edge was lost."""
PAUSE_SECONDS = 0.02
"""Between two looks at one service, however often it is heard of."""


class Surveyor:
    """Looks at all containers at once, for whoever wants to see what there is since a time."""

    def __init__(self, workshop: Workshop, home: str) -> None:
        self._workshop, self._home = workshop, home
        self._lock = threading.Lock()
        self._began, self._found = 0.0, list[Found]()
        self._before: dict[int, list[Found]] = {}

    def since(self, moment: float) -> Sequence[Found]:
        """What there is, seen after a moment of the monotonic clock."""
        with self._lock:
            if self._began <= moment:
                began = time.monotonic()
                self._found = [one for engine in self._workshop.engines() for one in self._seen(engine)]
                self._began = began
            return self._found

    def _seen(self, engine: Engine) -> list[Found]:
        """What an engine has; one that does not answer for a while has what it had: to know nothing decides nothing."""
        try:
            self._before[id(engine)] = survey(engine, self._home)
        except (TiffinError, OSError):
            if id(engine) not in self._before:
                raise
        return self._before[id(engine)]


class Supervisor:
    """Every service of a data folder, and the edge where there is one; `say` is told what people should hear.

    Metrics are at an address, if any.
    """

    def __init__(
        self,
        data: Path,
        workshop: Workshop,
        say: Callable[[str], None],
        *,
        metrics: Address | None = None,
        edge: Edge | None = None,
    ) -> None:
        self._metrics = metrics
        self._data, self._folder = data, data / FOLDER
        self._workshop, self._say = workshop, say
        self._home, self._edge, self._edge_changed = home_of(data), edge, asyncio.Event()
        self._surveyor = Surveyor(workshop, self._home)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tiffin")
        self._turn = asyncio.Lock()
        self._wakers: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: dict[int, int] = {}
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Keep the services until a signal says to stop; they go on."""
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await self.keep(stopped)

    async def keep(self, stopped: asyncio.Event) -> None:
        """Keep the services until told to stop; raises ConflictError where another supervisor does."""
        self._loop = asyncio.get_running_loop()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(self._folder / LOCK), contextlib.closing(State(self._data / DATABASE)) as state:
            self._state = state
            state.come_to_now()
            ports = self._edge.ports if self._edge else None
            self._services = Services(state, self._workshop, self._folder, self._begin, ports)
            servers = await self._listen()
            self._attend_all()
            pokes = Pokes(self._folder / POKE, self._wake)
            self._loop.add_reader(pokes.fileno(), pokes.hear)
            self._say(f"keeping {len(state.services())} services of {self._data}; Ctrl-C ends this, and they go on")
            await stopped.wait()
            for server in servers:
                server.close()
            self._loop.remove_reader(pokes.fileno())
            pokes.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._api.leave()
            self._pool.shutdown()
            for tended in self._services.tended.values():
                tended.leave()
            for descriptor in self._watched.values():
                os.close(descriptor)

    def _attend_all(self) -> None:
        """Look after what was kept before, and after the edge."""
        for name in self._state.services():
            self._open_engines(name)
            self._attend(name)
        if self._edge:
            self._tasks.add(self._loop.create_task(self._keep_edge(self._edge)))

    def _open_engines(self, name: str) -> None:
        """Have every engine looked at that may run replicas of a service; one that is not there is told."""
        for engine in {known.template.engine for known in self._state.history(name)}:
            try:
                self._workshop.engine_called(engine)
            except TiffinError as error:
                self._complain(name, str(error))

    async def _listen(self) -> list[asyncio.Server]:
        """Open the API, whose address must be short, so a descriptor leads to its folder, and the metrics by TCP."""
        watching = Watching(self._services, self._state, self._folder, str(self._metrics or ""))
        api = self._api = Api(self._services, self._state, self._one_at_a_time, watching, self._at_once)
        servers = []
        if self._metrics:
            servers.append(await asyncio.start_server(api.scrape, sock=self._metrics.listen()))
        (self._folder / SOCKET).unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return [*servers, await asyncio.start_unix_server(api.serve, f"/proc/self/fd/{folder}/{SOCKET}")]
        finally:
            os.close(folder)

    async def _at_once(self, work: Callable[[], object]) -> object:
        """Let who only looks wait for nobody."""
        return await self._loop.run_in_executor(self._pool, work)

    async def _one_at_a_time(self, work: Callable[[], object]) -> object:
        """Let who asks for changes wait for those who asked before."""
        async with self._turn:
            return await self._loop.run_in_executor(self._pool, work)

    def _begin(self, name: str) -> None:
        """Look after a service from now on, or look again at once; called from any thread."""
        self._loop.call_soon_threadsafe(self._attend, name)

    def _attend(self, name: str) -> None:
        self._edge_changed.set()
        if name in self._services.tended:
            self._wake(name)
            return
        self._write_hosts()
        tended = Tended(name, self._folder / name, self._state, self._workshop, self._home)
        self._services.tended[name] = tended
        self._wakers[name] = asyncio.Event()
        task = self._loop.create_task(self._keep(name, tended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, name: str, tended: Tended) -> None:
        """Look at a service again and again, and whenever something is heard of it."""
        waker, until = self._wakers[name], 0.0
        while True:
            waker.clear()
            began = clock.now()
            look = functools.partial(self._look, name, tended, time.monotonic())
            until = await self._loop.run_in_executor(self._pool, look)
            if not until and name not in self._state.services():  # else it has come again meanwhile
                break
            self._watch(name, tended)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waker.wait(), max(until - clock.now(), 0.0))
            await asyncio.sleep(max(began + PAUSE_SECONDS - clock.now(), 0.0))
        self._wakers.pop(name, None)
        self._services.tended.pop(name, None)
        self._edge_changed.set()
        self._write_hosts()

    async def _keep_edge(self, edge: Edge) -> None:
        """Have the edge lead every host to its service, whenever one is there more or less, or the edge was lost."""
        while True:
            self._edge_changed.clear()
            try:
                routes = routes_of(self._state.services().values())
                await self._loop.run_in_executor(self._pool, edge.keep, routes)
            except (TiffinError, OSError) as error:
                self._complain("the edge", str(error))
            else:
                self._complain("the edge")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._edge_changed.wait(), EDGE_SECONDS)

    def _write_hosts(self) -> None:
        """Have every service found by its name by the containers that see the machine's network."""
        addresses = {name: kept.address for name, kept in self._state.services().items() if kept.address}
        try:
            write_hosts(self._folder, addresses)
        except OSError as error:
            self._complain("names", f"services are not found by name: {error}")

    def _look(self, name: str, tended: Tended, moment: float) -> float:
        """Take one step, and say when the next one is due; 0 when there is nothing more to do."""
        try:
            until = tended.step(self._surveyor.since(moment), lambda work: self._pool.submit(self._then, name, work))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the keeping of a service
            if isinstance(error, NotFoundError) and name not in self._state.services():
                return 0.0
            expected = isinstance(error, TiffinError | OSError)
            self._complain(name, str(error) if expected else traceback.format_exc())
            return clock.now() + TROUBLE_SECONDS
        self._complain(name, *tended.troubles[:1])
        return until or 0.0

    def _complain(self, name: str, words: str = "") -> None:
        """Say what is wrong with a service, once until it is something else."""
        if words and self._said.get(name) != words:
            self._say(f"{name}: {words}")
        self._said[name] = words

    def _then(self, name: str, work: Callable[[], None]) -> None:
        """Do what takes long, and look again."""
        work()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake, name)

    def _wake(self, name: str) -> None:
        if waker := self._wakers.get(name):
            waker.set()

    def _watch(self, name: str, tended: Tended) -> None:
        """Hear of the end of each process that is seen, at no cost until then."""
        for pid in tended.view.pids if tended.view else ():
            if pid not in self._watched:
                with contextlib.suppress(OSError):  # it has just ended, and the next look sees that
                    descriptor = os.pidfd_open(pid)
                    self._watched[pid] = descriptor
                    self._loop.add_reader(descriptor, self._ended, name, pid)

    def _ended(self, name: str, pid: int) -> None:
        descriptor = self._watched.pop(pid)
        self._loop.remove_reader(descriptor)
        os.close(descriptor)
        self._wake(name)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only supervisor of this home; raises ConflictError that names the other one."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _keeper(path)
            raise ConflictError(
                f"a supervisor keeps these services already: process {pid}", f"`kill {pid}` stops it; services go on"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _keeper(path: Path) -> str:
    """The process that has the lock; who has just taken it writes its number a moment later."""
    due = time.monotonic() + KEEPER_SECONDS
    while not (pid := path.read_text().strip()) and time.monotonic() < due:
        time.sleep(KEEPER_SECONDS / 100)
    return pid or "?"
