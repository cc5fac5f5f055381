"""Ask a service as a load says and measure the answers: one thread, one epoll, as many connections as wanted."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from tiffin.errors import UnavailableError
from tiffin.traffic.address import Address, Question
from tiffin.traffic.latencies import Latencies
from tiffin.traffic.schedule import Load, due
from tiffin.traffic.wire import FIRST_ERROR, Answer, AnswerReader, WireError

PIECE = 262_144
CONNECT_SECONDS = 10
LOOK_SECONDS = 0.1
"""How long to wait for answers before looking at the clock for those that are late."""


class Measured(msgspec.Struct, kw_only=True):
    """What became of the requests that were due after the warm-up.

    `errors` counts by reason what was not answered with success; `wrong` what the check of the answer refused;
    `late` what was due and could not be sent before the end. `by_second` counts answers for each second.
    `busy` is the share of the time that this side computed: near 1, it is the load that was the limit.
    """

    latencies: Latencies
    seconds: float = 0.0
    answered: int = 0
    wrong: int = 0
    late: int = 0
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    by_second: Counter[int] = msgspec.field(default_factory=Counter)
    busy: float = 0.0


def measure(address: Address, question: Question, load: Load, right: Callable[[Answer], bool]) -> Measured:
    """Put a load on a service; `right` judges each successful answer.

    Raises UnavailableError where nobody answers at the beginning; later, everything that goes wrong is counted.
    """
    return _Run(address, question, load, right).run()


class _Connection:
    """One connection, and the request that is on it."""

    def __init__(self, address: Address) -> None:
        self.socket = _connect(address)
        self.reader = AnswerReader()
        self.due = 0.0
        self.sent = 0.0
        self.busy = False
        self.unsent = b""

    def send(self, data: bytes) -> None:
        """Send what the socket takes now, and keep the rest."""
        self.unsent = data
        self.go_on()

    def go_on(self) -> None:
        """Send more of what is left."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self) -> Answer | None:
        """Read what is there; gives an answer when it is whole; raises OSError, WireError."""
        while True:
            try:
                data = self.socket.recv(PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            if not data:
                raise ConnectionResetError("the connection was closed")
            answer = self.reader.feed(data)
            if answer is not None:
                return answer


def _connect(address: Address) -> socket.socket:
    made = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.secure:
        made = ssl.create_default_context().wrap_socket(made, server_hostname=address.host)
    made.setblocking(False)
    return made


class _Run:
    """A load that is being put on a service."""

    def __init__(self, address: Address, question: Question, load: Load, right: Callable[[Answer], bool]) -> None:
        self._address = address
        self._data = question.encode(address)
        self._load = load
        self._right = right
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._free: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._measured = Measured(latencies=Latencies())
        self._began = 0.0

    def run(self) -> Measured:
        """Ask until the time is over, then wait for what is out."""
        try:
            for _ in range(self._load.connections):
                self._join()
        except OSError as error:
            why = error.strerror or error
            raise UnavailableError(f"{self._address} does not answer: {why}", "`tiffin ps` lists what runs") from error
        computed, self._began = time.process_time(), time.perf_counter()
        try:
            if self._load.rate:
                self._open_loop()
            else:
                self._closed_loop()
            self._drain()
        finally:
            self._poll.close()
            for connection in self._open.values():
                connection.socket.close()
        measured = self._measured
        measured.seconds = self._load.seconds
        measured.busy = (time.process_time() - computed) / (time.perf_counter() - self._began)
        return measured

    @property
    def _now(self) -> float:
        return time.perf_counter() - self._began

    @property
    def _end(self) -> float:
        return self._load.warm_up + self._load.seconds

    def _closed_loop(self) -> None:
        while (now := self._now) < self._end:
            while self._free:
                self._ask(now)
            self._listen(min(self._end - now, LOOK_SECONDS))

    def _open_loop(self) -> None:
        moments = due(self._load)
        coming = next(moments, self._end)
        while (now := self._now) < self._end:
            while coming <= now and coming < self._end:
                self._waiting.append(coming)
                coming = next(moments, self._end)
            while self._waiting and self._free:
                self._ask(self._waiting.popleft())
            self._listen(min(max(coming - self._now, 0), LOOK_SECONDS))
        self._measured.late = sum(1 for moment in self._waiting if moment >= self._load.warm_up)

    def _drain(self) -> None:
        """Wait for the answers that are out; whatever has not come by its time-out never does."""
        while any(connection.busy for connection in self._open.values()):
            self._listen(LOOK_SECONDS)

    def _ask(self, moment: float) -> None:
        connection = self._free.popleft()
        connection.due, connection.sent, connection.busy = moment, self._now, True
        try:
            connection.send(self._data)
        except OSError as error:
            self._lose(connection, error)
            return
        if connection.unsent:
            self._poll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def _listen(self, seconds: float) -> None:
        """Take what comes within so many seconds; epoll counts in milliseconds, select on it in microseconds."""
        if seconds > 0 and not self._free_to_ask:
            select.select([self._poll.fileno()], [], [], seconds)
        for descriptor, _ in self._poll.poll(0):
            connection = self._open[descriptor]
            try:
                if connection.unsent:
                    connection.go_on()
                    if not connection.unsent:
                        self._poll.modify(connection.socket, select.EPOLLIN)
                answer = connection.receive()
            except (OSError, WireError) as error:
                self._lose(connection, error)
            else:
                if answer is not None:
                    self._take(connection, answer)
        self._give_up_late()

    @property
    def _free_to_ask(self) -> bool:
        return bool(self._free and self._waiting)

    def _take(self, connection: _Connection, answer: Answer) -> None:
        connection.busy = False
        now, measured = self._now, self._measured
        if connection.due >= self._load.warm_up:
            measured.latencies.add(now - connection.due)
            measured.by_second[int(now - self._load.warm_up)] += 1
            if answer.status >= FIRST_ERROR:
                measured.errors[f"status {answer.status}"] += 1
            elif self._right(answer):
                measured.answered += 1
            else:
                measured.wrong += 1
        if answer.keep:
            self._free.append(connection)
        else:
            self._replace(connection)

    def _lose(self, connection: _Connection, error: Exception) -> None:
        if connection.busy and connection.due >= self._load.warm_up:
            self._measured.errors[getattr(error, "strerror", None) or str(error)] += 1
        connection.busy = False
        self._replace(connection)

    def _replace(self, connection: _Connection) -> None:
        with contextlib.suppress(ValueError):
            self._free.remove(connection)
        del self._open[connection.socket.fileno()]
        connection.socket.close()
        try:
            self._join()
        except OSError as error:
            if self._now >= self._load.warm_up:
                self._measured.errors[f"no connection: {error.strerror or error}"] += 1
            if not self._open:
                raise UnavailableError(f"{self._address} went away: {error.strerror or error}") from error

    def _join(self) -> None:
        connection = _Connection(self._address)
        self._open[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)
        self._free.append(connection)

    def _give_up_late(self) -> None:
        oldest = self._now - self._load.time_out
        late = [connection for connection in self._open.values() if connection.busy and connection.sent < oldest]
        for connection in late:
            self._lose(connection, TimeoutError("no answer in time"))
