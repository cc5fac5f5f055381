"""Starts workers, tries each before it works, and has others in the place of those that are lost.

A worker that can fork is a zygote: it has loaded the model and never predicts, and its children do. Where a child does
not live through its trial, the model does not survive a fork: from then on each worker is a process that loads for
itself, and the zygote is the first of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.front.log import report, say
from tiffin_serve.front.workers.backoff import LAST_SECONDS, Backoff
from tiffin_serve.front.workers.child import Children
from tiffin_serve.front.workers.lines import Events, WorkerLine, Workers
from tiffin_serve.front.workers.memory import watch
from tiffin_serve.front.workers.nest import Nest, how
from tiffin_serve.front.workers.stopped import Stopped
from tiffin_serve.front.workers.trial import Question, Trial, Verdict, questions, zeros
from tiffin_serve.protocol.frames import Ended, Hello, LoadError, encode_fork
from tiffin_serve.protocol.service import Service
from tiffin_serve.protocol.signature import Signature

LOAD_FAILED = 3
STOP_SECONDS = 5
FORKED_SECONDS = 5.0
"""What a child of a zygote has for its first answers: one that hangs in a lock it inherited never gives them."""

Finish = Callable[[int, str], None]


class Crew:
    """The workers of one front; without `children` they are others' processes, and only their forks are ours.

    `changed` is called when there is a worker more or less, or one that may not serve. One that is `asleep` has none,
    but what they are had from at once; `stopped` is where those wait that cannot be had again.
    """

    def __init__(
        self,
        service: Service,
        children: Children | None,
        token: str,
        dispatcher: Dispatcher,
        loop: asyncio.AbstractEventLoop,
        finish: Finish,
    ) -> None:
        self._service = service
        self._children = children
        self._finish = finish
        self._loop = loop
        self._memory = watch()
        self._metrics = dispatcher.metrics
        self._began = self._started_at = time.monotonic()
        self._ready_at = 0.0
        self._tested = False
        self._spawns = False
        self._stopping = False
        self._backoff = Backoff()
        self._timer: asyncio.TimerHandle | None = None
        self._lines: dict[WorkerLine, str] = {}
        self._nests: dict[str, Nest] = {}
        self._trials: dict[WorkerLine, Trial] = {}
        self._loaded: set[int] = set()
        self._resting: dict[WorkerLine, Signature] = {}
        self._released: set[WorkerLine] = set()
        self._ended = asyncio.Event()
        self.stopped = Stopped()
        self.asleep = False
        self.changed: Callable[[], None] = nobody
        events = Events(
            arrived=self._on_arrived,
            lost=self._on_lost,
            ended=self._on_forked_end,
            load_failed=self._on_load_failure,
            load=self._fill,
            unload=self._unload,
            changed=self._on_changed,
        )
        self.workers = Workers(token, dispatcher, events)

    def _on_changed(self) -> None:
        self.changed()

    def begin(self) -> None:
        """Watch the process that was started before; it has to be ready in time."""
        if self._children is not None:
            self._children.watch(self._hear_of_end)
            self._loop.call_later(self._service.serve.load_seconds, self._on_load_timeout)

    async def stop(self) -> None:
        """Let all finish what they have, and kill what has not ended then."""
        self._stopping = True
        self.stopped.go_on()
        self._let_go()
        if not self._children:
            return
        try:
            await asyncio.wait_for(self._ended.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:  # noqa: UP041 - the built-in name is the same class only from Python 3.11 on
            self._children.stop(now=True)
            await self._ended.wait()

    def dismiss(self) -> None:
        """Hang up on every worker, for good; one that comes in later is hung up on when it says hello."""
        self._stopping = True
        self.stopped.go_on()
        for line in [*self._lines, *(nest.line for nest in self._nests.values())]:
            line.close()

    def stop_now(self) -> None:
        """Kill all."""
        if self._children is not None:
            self._children.stop(now=True)

    # --- sleep

    def sleep(self) -> None:
        """Let children go, whose zygotes stay, and stop those that have loaded for themselves; all must be idle."""
        self.asleep = True
        for line in list(self._lines):
            if line not in self._trials and self.workers.signature is not None:
                self._rest(line, self.workers.signature)

    def wake(self) -> None:
        """Have workers again."""
        if self.asleep:
            self.asleep = False
            for nest in self._nests.values():
                nest.hurries = nest.proven
            self.stopped.go_on()
            resting, self._resting = self._resting, {}
            for line, signature in resting.items():
                self.workers.admit(line, signature)
            self._fill()

    @property
    def warm(self) -> set[str]:
        """Name the instances of which a worker can be had at once."""
        return {line.instance for line in [*self._resting, *(nest.line for nest in self._nests.values())]}

    def _rest(self, line: WorkerLine, signature: Signature) -> None:
        self.workers.rest(line)
        nest = self._nests.get(self._lines[line])
        if nest is None:
            self._resting[line] = signature
            self.stopped.stop(line.pid)
        else:
            nest.released += 1
            self._released.add(line)
            del self._lines[line]
            line.close()

    # --- who comes

    def _on_arrived(self, line: WorkerLine, hello: Hello) -> None:
        signature = hello.signature
        if signature is None:  # `welcome` has looked
            return
        if self._stopping or (hello.nest and hello.nest not in self._nests):
            line.close()  # it comes too late: another revision is here, or the child of another zygote in its place
            return
        self._loaded.add(line.pid)
        if hello.forks and not self._spawns:
            self._nests[hello.forks] = Nest(line, signature)
            self._fill()
            return
        if hello.nest:
            nest = self._nests[hello.nest]
            if nest.hatch(hello.pid):
                self._lines[line] = hello.nest
                self._admit(line, signature)
                return
        elif self._children is not None:
            self._spawns = True
        self._try(line, signature, hello.nest)

    def _try(self, line: WorkerLine, signature: Signature, nest: str) -> None:
        """Ask a new worker what is to be asked of it; it works when it has answered."""
        self._lines[line] = nest
        try:
            asked = self._questions(signature)
        except ValueError as error:
            self._refuse(line, str(error))
            return
        trial = Trial(line, self._service, signature, self._loop, partial(self._on_tried, line, signature))
        self._trials[line] = trial
        trial.begin(asked, self._forked_seconds if nest else self._service.serve.load_seconds)

    def _questions(self, signature: Signature) -> list[Question]:
        """All checks until one worker has passed them; the first one's request, or a row of zeros, warms up others."""
        asked = questions(self._service, signature)
        if not asked:
            return zeros(signature)
        return [asked[0]._replace(expected=None)] if self._tested else asked

    @property
    def _forked_seconds(self) -> float:
        return min(FORKED_SECONDS, self._service.serve.deadline_ms / 1000)

    def _on_tried(self, line: WorkerLine, signature: Signature, verdict: Verdict) -> None:
        self._trials.pop(line, None)
        if verdict.lost:
            self._on_lost_in_trial(line, verdict)
        elif verdict.sentence and self._service.checks and not self._tested:
            self._refuse(line, verdict.sentence)
        else:
            if verdict.sentence:
                say(f"a new worker was to be warmed up, but {verdict.sentence}")
            self._tested = True
            if (nest := self._nests.get(self._lines[line])) is not None:
                nest.proven = True
            self._admit(line, signature)

    def _on_lost_in_trial(self, line: WorkerLine, verdict: Verdict) -> None:
        name = self._lines.get(line, "")
        if name in self._nests:
            self._give_up_forking(self._nests[name], verdict.sentence)
        elif name:
            pass  # a sibling of one that did not live through its trial
        elif not self._ready_at and self._children is not None:
            self._finish(LOAD_FAILED, f"the model failed to load: {verdict.sentence}")
        else:
            report("a new worker was lost", reason=verdict.sentence)

    def _refuse(self, line: WorkerLine, sentence: str) -> None:
        """Let nobody be served by a model that does not answer as it should."""
        if not self._ready_at and self._children is not None:
            self._finish(LOAD_FAILED, f"the model failed its self-test: {sentence}")
        else:
            self.workers.fail(line.instance, f"it failed its self-test: {sentence}")
            report("a worker failed its self-test", reason=sentence)
        line.close()

    def _admit(self, line: WorkerLine, signature: Signature) -> None:
        if not line.is_open or self._stopping:
            return
        if not self._ready_at:
            say(f"{self._service.name} is ready after {time.monotonic() - self._began:.2f} s")
        self._ready_at = time.monotonic()
        nest = self._nests.get(self._lines.get(line, ""))
        for backoff in (self._backoff, nest.backoff if nest else self._backoff):
            backoff.ready(self._ready_at)
        self._metrics.loaded(self._ready_at - self._started_at)
        self._metrics.drift.learn(signature)
        self.workers.admit(line, signature)
        if self.asleep:
            self._rest(line, signature)
        self._fill()

    # --- who goes

    def _on_lost(self, line: WorkerLine) -> tuple[Loss, str]:
        if line in self._released:
            self._released.discard(line)
            return line.why, ""
        self._resting.pop(line, None)
        why: Loss = "memory" if line.why == "crash" and self._memory.has_killed() else line.why
        if not (self._stopping or self.workers.unloaded):
            self._metrics.restarted(why)
        limit = f"{self._service.serve.deadline_ms / 1000:g} seconds" if why == "deadline" else self._memory.limit
        if why != "crash" and not self._stopping:
            report("a worker was killed", reason=why, limit=limit, pid=line.pid)
        self._nests = {name: nest for name, nest in self._nests.items() if nest.line is not line}
        trial = self._trials.get(line)
        if trial is not None:
            trial.lost()
        nest_name = self._lines.pop(line, "")
        nest_of = self._nests.get(nest_name)
        if nest_of is not None:
            if why == "deadline" and not line.answered:
                self._give_up_forking(nest_of, "the worker never answered")
            self._retry(nest_of)
        elif nest_name and self._children is not None and not self._spawns:
            self._retry()  # its zygote is lost already, and another has to have a child in its place
        return why, limit

    def _on_forked_end(self, line: WorkerLine, ended: Ended) -> None:
        """Hear from a zygote how a child of its ended; its line was lost at about that time."""
        nest = next((nest for nest in self._nests.values() if nest.line is line), None)
        if nest is None or self._stopping:
            return
        if ended.pid not in nest.hatched:
            nest.pending -= 1
            self._retry(nest)
        nest.hatched.discard(ended.pid)
        if nest.released and not ended.status:
            nest.released -= 1
            return
        report("the worker ended and is started again", how=ended.message or how(ended.status), pid=ended.pid)

    def _hear_of_end(self, pid: int, code: int) -> None:
        """Carry the news from the reaper's thread to the loop, which may have ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._on_end, pid, code)

    def _on_end(self, pid: int, code: int) -> None:
        children = self._children
        if children is None or not children.forget(pid):
            return
        self._loaded.discard(pid)
        if not children:
            self._ended.set()
        if self._stopping or self.workers.unloaded:
            return
        ending = how(code)
        if code < 0 and self._memory.has_killed():
            ending += f": it needs more memory than {self._memory.limit or 'there is'}"
        if not self._ready_at:
            self._finish(LOAD_FAILED, f"the model failed to load: the worker ended with {ending}")
            return
        delay = self._retry()
        report("the worker ended and is started again", how=ending, delay_seconds=delay, pid=pid)

    def _on_load_failure(self, error: LoadError) -> None:
        if self._children is None or self._ready_at:
            report("the model failed to load", error=error.message, traceback=error.traceback)
        else:
            self._finish(LOAD_FAILED, f"the model failed to load: {error.message}")

    def _on_load_timeout(self) -> None:
        if not self._ready_at and not self._stopping:
            seconds = self._service.serve.load_seconds
            self._finish(LOAD_FAILED, f"the model failed to load: it took longer than {seconds:g} seconds")

    # --- others in their place

    def _retry(self, nest: Nest | None = None) -> float:
        """Have as many as there should be again, later the more often this was needed; gives the seconds."""
        now = time.monotonic()
        backoff = self._backoff if nest is None or self._children is not None else nest.backoff
        backoff.failed(now)
        self._fill()
        return backoff.delay(now)

    def _fill(self) -> None:
        """Have as many workers as there should be, now or as soon as may be."""
        if self._stopping or self.workers.unloaded or self.asleep:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = time.monotonic()
        delays = [self._backoff.delay(now), *(nest.backoff.delay(now) for nest in self._nests.values())]
        if any(delays):
            self._timer = self._loop.call_later(min(filter(None, delays)), self._fill)
        if not delays[0]:
            self._fill_now(now)

    def _fill_now(self, now: float) -> None:
        """Have more of every zygote that has not lost its children of late, and of processes of our own."""
        wanted = self._service.serve.workers
        for name, nest in self._nests.items():
            own = len(self._lines) if self._children is not None else list(self._lines.values()).count(name)
            if not nest.backoff.delay(now):
                self._fork(nest, wanted - own - nest.pending)
        if self._children is not None:
            for _ in range((wanted if self._spawns else 1) - len(self._children)):
                self._start(self._children)

    def _fork(self, nest: Nest, count: int) -> None:
        if count > 0:
            nest.pending += count
            nest.line.send(encode_fork(count))
            self._loop.call_later(self._forked_seconds, self._look_for_hatched, nest)

    def _look_for_hatched(self, nest: Nest) -> None:
        if nest.pending > 0 and nest in self._nests.values():
            self._give_up_forking(nest, "the worker never said hello")

    def _give_up_forking(self, nest: Nest, reason: str) -> None:
        """Let the zygote work itself, which ends its children, and each further worker load for itself."""
        say(f"the model does not survive a fork ({reason}), so that each worker loads it for itself from now on")
        self._spawns = True
        self._nests = {name: other for name, other in self._nests.items() if other is not nest}
        self._try(nest.line, nest.signature, "")

    def _start(self, children: Children) -> None:
        self._ended.clear()
        self._started_at = time.monotonic()
        try:
            pid = children.start()
        except OSError as error:
            report("the worker cannot be started", error=str(error))
            self._loop.call_later(LAST_SECONDS, self._fill)
        else:
            self._loop.call_later(self._service.serve.load_seconds, self._look_for_loaded, pid)

    def _look_for_loaded(self, pid: int) -> None:
        if self._children is not None and pid in self._children and pid not in self._loaded:
            report("a worker took too long to load and is killed", pid=pid)
            self._children.end(pid, now=True)

    def _unload(self) -> bool:
        if self._children is None:
            return False
        self._nests.clear()  # one that is still there must not fork the model that was to go
        self._let_go()
        return True

    def _let_go(self) -> None:
        """Ask every worker to finish what it has and to go."""
        if self._children is not None:
            for line in list(self._lines):
                line.ask_to_go()
            self._children.stop()


def nobody() -> None:
    """Hear nothing."""
