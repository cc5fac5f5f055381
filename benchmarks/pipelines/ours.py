"""Tiffin's three steps, a chain of many, and a thousand that are only planned."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.command import Command
from benchmarks.tiffin import tiffin
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import container_bench, trace
from tiffin.pipeline.benches.containers import laid_out
from tiffin.pipeline.workbench import Order

CHAIN = 21
PLANNED = 1000
PROJECT = """\
name = "{name}"
[python]
dependencies = ["six==1.17.0"]
"""
THREE = """\
from tiffin_pipeline import pipeline, step


@step
def one() -> int:
    return 1


@step
def double(value: int) -> int:
    return value + value


@pipeline
def three():
    first = one()
    second = double(value=first.output)
    double(value=second.output)
"""
SHORT = """\
from tiffin_pipeline import command, pipeline, value

nothing = command("nothing", "/opt/venv/bin/python", "-ISc", "pass", value("number"), inputs={"number": int})


@pipeline
def short(begin: int = 0):
    last = nothing(number=begin)
    for number in range(%d):
        last = nothing(number=number).after(last).uncached()
"""
WIDE = """\
from tiffin_pipeline import pipeline, step


@step
def work(number: int, before: int = 0) -> int:
    return number + before


@pipeline
def wide():
    last = None
    for number in range(%d):
        call = work(number=number) if number %% 10 == 0 else work(number=number, before=last.output)
        last = call
"""


class Ours:
    """A home with the environment of every project in it, and nothing that was done."""

    def __init__(self, home: Path) -> None:
        self.home, self._rounds = home, 0
        self.three = self._project("three", THREE)
        self.one = self._project("short", SHORT % 0)
        self.chain = self._project("chain", SHORT % (CHAIN - 1))
        self.wide = self._project("wide", WIDE % PLANNED)

    def _project(self, name: str, text: str) -> Path:
        folder = self.home / "projects" / name
        folder.mkdir(parents=True)
        (folder / "pipeline.py").write_text(text)
        (folder / "tiffin.toml").write_text(PROJECT.format(name=name))
        return folder

    def run(self, folder: Path, *options: str) -> Command:
        """Run a project's pipeline."""
        return tiffin(self.home, "pipeline", "run", str(folder), *options)

    def plan(self, folder: Path) -> Command:
        """Say what a project's pipeline would do."""
        return tiffin(self.home, "pipeline", "plan", str(folder))

    def prepare(self) -> None:
        """Make the environment, which is made once."""
        for folder in (self.three, self.one, self.chain):
            self.run(folder).run()
        self.plan(self.wide).run()

    def forget(self) -> None:
        """Let the next run be a first one: nothing of it was read, done or kept; the environment stays."""
        self._rounds += 1
        (self.three / "pipeline.py").write_text(THREE.replace("return 1", f"return {1 + self._rounds}"))
        for name in ("data/pipelines", "data/results"):
            shutil.rmtree(self.home / name, ignore_errors=True)

    def containers(self, scratch: Path, count: int) -> Iterator[float]:
        """Start a step's container by itself, wait for its end and remove it, so often; gives the seconds of each."""
        home = Home.of({"TIFFIN_HOME": str(self.home)})
        bench = container_bench(self.one, home)
        step = trace(bench, home).steps["nothing"]
        order = Order(run="alone", task="nothing", attempt=1, step=step, values={}, inputs={}, folder=scratch)
        spec, engine = bench._spec(order, bench._ready(step)), bench._with.engine()  # noqa: SLF001 - that very container
        with laid_out(order):
            for number in range(count):
                began = time.perf_counter()
                container = engine.create(msgspec.structs.replace(spec, name=f"alone-{number}"))
                container.start(attached=True)
                container.wait()
                container.remove()
                yield time.perf_counter() - began
