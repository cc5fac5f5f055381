"""Whatever is killed when, a crew has as many workers as were asked for in the end: in simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.workers import crew as crew_module
from tiffin_serve.front.workers.child import Children
from tiffin_serve.front.workers.crew import Crew
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.frames import VERSION, Ended, FrameReader, Hello
from tiffin_serve.protocol.service import Serving
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.simulated import Clock

SIGNATURE = Signature(platform="python_predictor", inputs=(TensorSpec("x", "INT64", (-1,)),), outputs=())
SETTLED = 120.0
LOADS = 0.5
"""What a process takes at least to load: by then all have heard of the end of the one before it."""
ACTS = ("kill a zygote", "kill a child", "sleep", "wake", "unload", "load", "wait")


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
        self.alive, self.is_open = True, False
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
        self.house.crew.workers.events.arrived(
            cast("WorkerLine", self), Hello(version=VERSION, signature=SIGNATURE, pid=self.pid, **mine)
        )

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
        elif self.zygote.alive:
            self.house.later(self.zygote.tell, Ended(pid=self.pid, status=status))

    def hang_up(self) -> None:
        self.is_open = False
        self.house.crew.workers.forget(cast("WorkerLine", self))

    def tell(self, ended: Ended) -> None:
        if self.alive:
            self.house.crew.workers.events.ended(cast("WorkerLine", self), ended)

    # --- what the crew asks of a line

    def send(self, frame: bytes) -> None:
        for head, _ in self._reader.feed(frame):
            told = msgspec.json.decode(head)
            if told["kind"] == "fork" and self.alive:
                for _ in range(told["count"]):
                    self.house.begin(self)

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


class Started:
    """The processes that a front has started."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._processes: dict[int, Process] = {}
        self.tell: Any = lambda *_: None

    def __len__(self) -> int:
        return len(self._processes)

    def __contains__(self, pid: int) -> bool:
        return pid in self._processes

    def start(self) -> int:
        process = self._house.begin(None)
        self._processes[process.pid] = process
        return process.pid

    def watch(self, ended: Any) -> None:
        self.tell = ended

    def forget(self, pid: int) -> bool:
        return self._processes.pop(pid, None) is not None

    def stop(self, *, now: bool = False) -> None:
        for pid in list(self._processes):
            self.end(pid, now=now)

    def end(self, pid: int, *, now: bool = False) -> None:
        self._house.later(self._processes[pid].end, -9 if now else 0)


class House:
    """A crew, its processes, and chance: how long each of them takes.

    With `instances` the processes are in so many containers, which others start again.
    """

    def __init__(self, wanted: int, instances: int, clock: Loop, delays: Iterator[float], *, forks: bool) -> None:
        self.clock, self.forks = clock, forks
        self._delays = delays
        self._pids = 0
        self.processes: list[Process] = []
        self.finished: list[str] = []
        service: Any = SimpleNamespace(name="m", checks=[], serve=Serving(workers=wanted))
        dispatcher = Dispatcher(self.clock, service.serve, Metrics("m"), self.clock.now)
        self.children = Started(self)
        self._instances = instances
        own = None if instances else cast("Children", self.children)
        self.crew = Crew(service, own, "t", dispatcher, cast("Any", self.clock), self._on_finished)
        for _ in range(instances):
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
        if not self._instances:
            self.later(self.children.tell, zygote.pid, status)
            return
        for process in [process for process in self.processes if process.zygote is zygote]:
            process.end(-9)
        self.later(self.begin, None)

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
    wanted=st.integers(1, 3),
    instances=st.integers(0, 2),
    forks=st.booleans(),
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5), st.sampled_from([0.0, 0.01, 0.5, 20.0]))),
    delays=st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.2]), min_size=1),
)
def test_there_are_as_many_workers_as_were_asked_for_in_the_end(
    wanted: int, instances: int, acts: list[tuple[str, int, float]], delays: list[float], *, forks: bool
) -> None:
    endless = (delay for _ in iter(int, 1) for delay in delays)
    with pytest.MonkeyPatch.context() as patch:
        clock = Loop()
        patch.setattr(crew_module, "time", SimpleNamespace(monotonic=clock.now))
        house = House(wanted, instances, clock, endless, forks=forks)
        clock.run(10)
        many = max(instances, 1) * (wanted if forks or not instances else 1)
        assert len(house.crew.workers) == many
        for act, which, seconds in acts:
            house.do(act, which)
            clock.run(seconds)
        house.do("wake", 0)
        house.do("load", 0)
        clock.run(SETTLED)
        alive = [process for process in house.processes if process.zygote is not None or not forks]
        assert (len(house.crew.workers), len(alive)) == (many, many)
        assert not house.finished
