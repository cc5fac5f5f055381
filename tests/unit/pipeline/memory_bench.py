"""A workbench that is a table: what each step does is a Python function, and when it ends is what a test says.

    bench = MemoryBench({"train": lambda work: work.give(model=b"weights", accuracy=0.9)})
    bench.fail("train", times=2)                    # the first two attempts end with 1
    held = bench.hold("train[1]")                   # a step, or one task, waits until held.open()
    held.reached()                                  # ... which it is doing now
    bench.done                                      # ["split.1", "train[0].1", …] in the order that they ended

What the table does not name gives for each of its outputs something that follows from what it takes, as real steps do.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock
from typing import Any

from tiffin.errors import TiffinError
from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Action, Command, Step
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order

DEADLINE = 30.0
STOPPED = Ended(exit_code=143, reason="stopped")
_SOME: Mapping[str, Any] = {"int": 1, "float": 0.5, "bool": True, "list": [1, 2], "dict": {"a": 1}}


class Work:
    """One attempt, as what a step does sees it."""

    def __init__(self, order: Order, said: Callable[[str], None], stopped: Event) -> None:
        self.order, self.said, self.stopped = order, said, stopped

    def __getitem__(self, name: str) -> Any:
        """The value of an input parameter."""
        return self.order.values[name]

    def read(self, name: str) -> bytes:
        """The content of an input artifact, or of several one after another; of a folder, that of its files."""
        return b"".join(_content(each.path) for each in self.order.inputs[name])

    def give(self, **outputs: Any) -> Ended:
        """Write outputs: bytes into an artifact's file, a dict of bytes as a folder's files, and values as text."""
        for name, value in outputs.items():
            port = self.order.step.outputs[name]
            path = self.order.folder / (VALUES if port.is_parameter else FILES) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if port.is_parameter:
                path.write_text(value if isinstance(value, str) else json.dumps(value))
            elif isinstance(value, dict):
                for file, content in value.items():
                    (path / file).parent.mkdir(parents=True, exist_ok=True)
                    (path / file).write_bytes(content)
            else:
                path.write_bytes(value)
        return Ended()

    def anything(self) -> Ended:
        """Give each output something that follows from what the step is, takes, and is done with."""
        order = self.order
        seen = hashlib.sha256(
            f"{order.step.name} {sorted(order.values.items())} {sorted(order.step.env.items())}".encode()
        )
        for name in sorted(order.inputs):
            seen.update(name.encode() + self.read(name))
        some = {**_SOME, "str": seen.hexdigest()}
        given = {
            name: some[port.type] if port.is_parameter else f"{name} {seen.hexdigest()}".encode()
            for name, port in order.step.outputs.items()
        }
        return self.give(**given)


Doing = Callable[[Work], Ended | None]


class Held:
    """Where attempts wait until a test lets them go."""

    def __init__(self) -> None:
        self._reached, self._open = Event(), Event()

    def reached(self) -> None:
        """Wait until an attempt is here."""
        assert self._reached.wait(DEADLINE), "no attempt came here"

    def open(self) -> None:
        """Let what waits here, and what comes, go on."""
        self._open.set()

    def pass_by(self, stopped: Event) -> None:
        """Wait to be let go, or to be stopped."""
        self._reached.set()
        while not self._open.wait(0.005):
            if stopped.is_set():
                return


class MemoryBench:
    """Does steps by functions, by the step's name; `Workbench` of tests."""

    def __init__(self, does: Mapping[str, Doing] | None = None, *, identity: Mapping[str, str] | None = None) -> None:
        self.does = dict(does or {})
        self.environment = dict(identity or {"environment": _digest("environment"), "code": _digest("code")})
        self.identities: dict[str, dict[str, str] | TiffinError] = {}
        self.orders: list[Order] = []
        self.done: list[str] = []
        self.most_at_once = 0
        self._scripted: dict[str, list[Ended | TiffinError]] = {}
        self._held: dict[str, Held] = {}
        self._lock, self._now = Lock(), 0

    def fail(self, name: str, how: Ended | TiffinError | None = None, *, times: int = 10_000) -> None:
        """Have the next attempts at a step, or at one task, end like this, and give nothing."""
        self._scripted.setdefault(name, []).extend([how or Ended(exit_code=1)] * times)

    def hold(self, name: str) -> Held:
        """Have attempts at a step, or at one task, wait."""
        return self._held.setdefault(name, Held())

    def attempts(self) -> Counter[str]:
        """How many attempts at each task have been begun."""
        return Counter(order.task for order in self.orders)

    def identity(self, step: Step) -> dict[str, str]:
        """The same for all steps, but for those of a table, and for commands in an image of their own."""
        found = self.identities.get(step.name)
        if isinstance(found, TiffinError):
            raise found
        if found is None and isinstance(step.does, Command) and step.does.image:
            return {"environment": _digest(step.does.image)}
        if found is None and isinstance(step.does, Action):
            return {"action": step.does.name}
        return dict(self.environment if found is None else found)

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:
        """Call the step's function, unless a failure is scripted."""
        with self._lock:
            self.orders.append(order)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            scripted = next((some.pop(0) for some in self._of(self._scripted, order) if some), None)
        try:
            for held in self._of(self._held, order):
                held.pass_by(stopped)
            return STOPPED if stopped.is_set() else self._ended(order, said, stopped, scripted)
        finally:
            with self._lock:
                self._now -= 1
                self.done.append(f"{order.task}.{order.attempt}")

    def _ended(
        self, order: Order, said: Callable[[str], None], stopped: Event, scripted: Ended | TiffinError | None
    ) -> Ended:
        if isinstance(scripted, TiffinError):
            raise scripted
        if scripted is not None:
            said(f"{order.task} fails as it should")
            return scripted
        work = Work(order, said, stopped)
        return self.does.get(order.step.name, Work.anything)(work) or Ended()

    @staticmethod
    def _of(table: Mapping[str, Any], order: Order) -> list[Any]:
        return [table[name] for name in dict.fromkeys((order.task, order.step.name)) if name in table]


def _digest(what: str) -> str:
    return Digest.of(what.encode())


def _content(path: Path) -> bytes:
    if path.is_dir():
        return b"".join(_content(each) for each in sorted(path.iterdir()))
    return path.read_bytes()
