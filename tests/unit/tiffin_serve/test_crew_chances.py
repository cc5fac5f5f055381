"""Whatever is killed when, a crew has as many workers as were asked for in the end: in simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.workers import crew as crew_module
from tiffin_serve.front.workers import trial as trial_module
from tiffin_serve.front.workers.child import Children
from tiffin_serve.front.workers.crew import Crew
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.frames import VERSION, Ended, FrameReader, Hello, Result, ResultTensor
from tiffin_serve.protocol.service import Serving
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.simulated import Clock

INPUTS = (TensorSpec("x", "FP64", (-1, 1)),)
WAITS = (0.0, 0.01, 0.06, 0.12, 0.5, 20.0)
SETTLED = 120.0
LOADS = 0.5
"""What a process takes at least to load: by then all have heard of the end of the one before it."""
ACTS = ("kill a zygote", "kill a child", "sleep", "wake", "unload", "load", "wait")


class Case(NamedTuple):
    """What a service asks for: `wanted` workers, of processes of the front's own or in so many `instances`.

    They fork, or load each for themselves; they are `tried` with a row of zeros, or may work at once.
    """

    wanted: int
    instances: int
    forks: bool
    tried: bool


class Handle:
    """What a loop gives for something that is to be called."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop(Clock):
    """A simulated loop whose calls can be taken back."""

    def call_later(self, delay: float, callback: Any, *arguments: Any) -> Any:
        handle = Handle()
        super().call_later(delay, lambda: None if handle.cancelled else callback(*arguments))
        return handle

    call_soon_threadsafe = Clock.call_soon


class Process:
    """A simulated worker, and the connection to it as the crew sees it."""

    def __init__(self, house: House, pid: int, zygote: Process | None = None) -> None:
        self.house, self.pid, self.zygote = house, pid, zygote
        self.instance, self.why, self.answered, self.admitted = "", "crash", False, 0.0
        self.dispatcher: Dispatcher | None = None
        self.alive, self.is_open, self.predicts = True, False, zygote is not None or not house.forks
        self._reader = FrameReader()
        house.clock.call_later(0.0 if zygote else LOADS, house.later, self.say_hello)

    def say_hello(self) -> None:
        if not self.alive:
            return
        self.is_open = True
        mine = {}
        if self.zygote is not None:
            mine = {"nest": f"nest {self.zygote.pid}"}
        elif self.house.forks:
            mine = {"forks": f"nest {self.pid}"}
        hello = Hello(version=VERSION, signature=self.house.signature, pid=self.pid, **mine)
        self.house.crew.workers.events.arrived(cast("WorkerLine", self), hello)

    def end(self, status: int) -> None:
        """End; whoever hears of it hears of it in any order."""
        if not self.alive:
            return
        self.alive = False
        self.house.processes.remove(self)
        if self.is_open:
            self.house.later(self.hang_up)
        if self.zygote is None:
            self.house.lost(self, status)
        else:
            self.house.later(self.zygote.tell, Ended(pid=self.pid, status=status))

    def hang_up(self) -> None:
        self.is_open = False
        self.house.crew.workers.forget(cast("WorkerLine", self))

    def tell(self, ended: Ended) -> None:
        if self.is_open and not self.predicts:
            self.house.crew.workers.events.ended(cast("WorkerLine", self), ended)

    # --- what the crew asks of a line

    def send(self, frame: bytes) -> None:
        for head, body in self._reader.feed(frame):
            told = msgspec.json.decode(head)
            if self.alive and told["kind"] == "fork":
                for _ in range(told["count"]):
                    self.house.begin(self)
            elif self.alive:
                self._disown()
                self.house.later(self.answer, told["id"], bytes(body))

    def _disown(self) -> None:
        """Predict, which a zygote does only without its children."""
        self.predicts = True
        for process in self.house.children_of(self):
            process.end(-9)

    def answer(self, number: int, body: bytes) -> None:
        if self.alive and self.dispatcher is not None:
            tensor = ResultTensor("y", "FP64", (1, 1), len(body))
            self.dispatcher.finished(cast("WorkerLine", self), Result(id=number, outputs=(tensor,)), memoryview(body))

    def close(self) -> None:
        self.end(0)

    def ask_to_go(self) -> None:
        self.house.later(self.end, 0)

    def kill(self, _: str) -> None:
        self.end(-9)

    def look(self) -> None:
        """Have said everything already."""

    def hold(self, *, on: bool) -> None:
        """Say nothing that could wait."""


class Started(Children):
    """The processes that a front has started, simulated."""

    def __init__(self, house: House) -> None:
        super().__init__([], {})
        self._house = house
        self.tell: Any = lambda *_: None

    def start(self) -> int:
        process = self._house.begin(None)
        self._processes[process.pid] = cast("Any", process)
        return process.pid

    def watch(self, ended: Any) -> None:
        self.tell = ended

    def end(self, pid: int, *, now: bool = False) -> None:
        self._house.later(cast("Any", self._processes[pid]).end, -9 if now else 0)


class House:
    """A crew, its processes, and chance: how long each of them takes.

    With `instances` the processes are in so many containers, which others start again.
    """

    def __init__(self, clock: Loop, delays: Iterator[float], case: Case) -> None:
        self.clock, self.forks, self._case = clock, case.forks, case
        self.signature = Signature(platform="any" if case.tried else "python_predictor", inputs=INPUTS, outputs=())
        self._delays = delays
        self._pids = 0
        self.processes: list[Process] = []
        self.finished: list[str] = []
        service: Any = SimpleNamespace(name="m", checks=[], serve=Serving(workers=case.wanted))
        dispatcher = Dispatcher(self.clock, service.serve, Metrics("m"), self.clock.now)
        self.children = Started(self)
        own = None if case.instances else self.children
        self.crew = Crew(service, own, "t", dispatcher, cast("Any", self.clock), self._on_finished)
        for _ in range(case.instances):
            self.begin(None)
        if own is not None:
            own.start()
        self.crew.begin()

    def _on_finished(self, _: int, why: str) -> None:
        self.finished.append(why)

    def begin(self, zygote: Process | None) -> Process:
        self._pids += 1
        process = Process(self, self._pids, zygote)
        self.processes.append(process)
        return process

    def lost(self, zygote: Process, status: int) -> None:
        """Tell the crew of the end of its own process; the end of a container is the end of all in it."""
        if not self._case.instances:
            self.later(self.children.tell, zygote.pid, status)
            return
        for process in self.children_of(zygote):
            process.end(-9)
        self.later(self.begin, None)

    def children_of(self, zygote: Process) -> list[Process]:
        return [process for process in self.processes if process.zygote is zygote]

    @property
    def wanted(self) -> int:
        """Say how many workers there should be: where others start them, a zygote has as many, and any other is one."""
        if not self._case.instances:
            return self._case.wanted
        found = [process for process in self.processes if process.zygote is None]
        return sum(1 if process.predicts else self._case.wanted for process in found)

    @property
    def working(self) -> tuple[int, int]:
        """Count the workers that the crew knows, and those that are there."""
        return len(self.crew.workers), sum(process.predicts for process in self.processes)

    def later(self, callback: Any, *arguments: Any) -> None:
        self.clock.call_later(next(self._delays), callback, *arguments)

    def do(self, act: str, which: int) -> None:
        crew = self.crew
        if act.startswith("kill"):
            found = [process for process in self.processes if (process.zygote is None) is (act == "kill a zygote")]
            if found:
                found[which % len(found)].end(-9)
        elif act == "sleep" and not crew.workers.unloaded:
            crew.sleep()
        elif act == "wake":
            crew.wake()
        elif act == "unload":
            crew.workers.unload()
        elif act == "load":
            crew.workers.load()


@settings(max_examples=500)
@given(
    case=st.builds(
        Case, wanted=st.integers(1, 3), instances=st.integers(0, 2), forks=st.booleans(), tried=st.booleans()
    ),
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5), st.sampled_from(WAITS))),
    delays=st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.2]), min_size=1),
)
def test_there_are_as_many_workers_as_were_asked_for_in_the_end(
    case: Case, acts: list[tuple[str, int, float]], delays: list[float]
) -> None:
    endless = (delay for _ in iter(int, 1) for delay in delays)
    with pytest.MonkeyPatch.context() as patch:
        clock = Loop()
        patch.setattr(crew_module, "time", SimpleNamespace(monotonic=clock.now))
        patch.setattr(trial_module, "Dispatcher", partial(Dispatcher, now=clock.now))
        house = House(clock, endless, case)
        clock.run(10)
        assert house.working == (house.wanted, house.wanted)
        for act, which, seconds in acts:
            house.do(act, which)
            clock.run(seconds)
        house.do("wake", 0)
        house.do("load", 0)
        clock.run(SETTLED)
        assert house.working == (house.wanted, house.wanted)
        assert not house.finished
