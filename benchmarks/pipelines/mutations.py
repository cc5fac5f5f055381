"""A project that is changed a thousand times, at random: what is done again, beside what had to be.

Half of the changes mean something to a step, and half mean nothing to any. What each step would give is worked out from
what was changed, apart from any key; a step that is kept though it would give something else is a false hit, and one
that is done again though it gave just this before is a false miss. Those of a file beside the steps' own are counted
apart: every step has all other files, since a model that it unpickles may be made of their classes.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import msgspec

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.environment import code_of, native_bench, trace
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.step_code import step_code
from tiffin.pipeline.graph import Function, Step
from tiffin.pipeline.keeping.content import Contents
from tiffin.pipeline.running.ledger import Planned, begun
from tiffin.pipeline.running.means import Means, RunOptions
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Input, Order

STEPS = ("prepare", "fit", "judge")
PROJECT = 'name = "changes"\n[python]\ndependencies = ["six==1.17.0"]\n'
HELPER = "# {note}\nFACTOR = {factor}\n"
HEAD = (
    '"""{note}"""\nfrom tiffin_pipeline import Dataset, Model, Output, pipeline, step\n\nfrom helper import FACTOR\n\n'
)
STEP = {
    "prepare": """\
@step(retries={retries}, timeout={timeout})
def prepare(rows: Dataset, clean: Output[Dataset]) -> None:
    clean.path.write_text(rows.path.read_text() + "{prepare}")

""",
    "fit": """\
@step(cpus={cpus}, env={{"SEED": "{seed}"}})
def fit(clean: Dataset, model: Output[Model], depth: int = 3) -> None:
    model.path.write_text(f"{{depth}} {{FACTOR}} {fit}" + clean.path.read_text())

""",
    "judge": """\
@step
def judge(model: Model, clean: Dataset, report: Output[Dataset]) -> None:
    report.path.write_text(model.path.read_text() + clean.path.read_text() + "{judge}")

""",
    "other": "@step\ndef other(number: int) -> int:\n    return number + {other}\n\n",
}
TAIL = """\
@pipeline
def changes(rows: Dataset = "{rows}", depth: int = 3):
    # {comment}
    ready = prepare(rows=rows)
    fitted = fit(clean=ready.clean, depth=depth){named}
    judge(model=fitted.model, clean=ready.clean)
    other(number={number})
"""


@dataclass
class State:
    """What the project says by now; `means` are the parts of it that a step's result can follow from."""

    random: random.Random
    data: int = 0
    depth: int | None = None
    environment: int = 0
    means: dict[str, int] = field(default_factory=lambda: dict.fromkeys([*STEPS, "seed", "factor"], 0))
    marks: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ["retries", "timeout", "cpus", "other", "note", "comment", "number", "named"], 1
        )
    )
    order: list[str] = field(default_factory=lambda: list(STEP))
    rows: str = "rows.csv"
    clock: int = 0

    def truth(self) -> dict[str, str]:
        """What each step would give, as text that no other state shares unless it gives the same."""
        clean = f"prepare {self.data} {self.means['prepare']} {self.environment}"
        fitted = ("fit", clean, self.depth or 3, *(self.means[name] for name in ("fit", "seed", "factor")))
        model = f"{fitted} {self.means['factor']} {self.environment}"
        return {"prepare": clean, "fit": model, "judge": f"judge {model} {clean} {self.means['judge']}"}

    def change(self) -> str:
        """Change something, and name it."""
        telling = [*self.means, "data", "depth", "environment"]
        silent = [*self.marks, "order", "touched", "written again", "moved", "said as by default", "rights", "beside"]
        what = self.random.choice(self.random.choice([telling, silent]))
        if what in self.means:
            self.means[what] = self.random.randrange(8)
        elif what in self.marks:
            self.marks[what] = self.random.randrange(1, 9)
        elif what in {"data", "environment"}:
            setattr(self, what, self.random.randrange(8))
        elif what == "depth":
            self.depth = self.random.randrange(3, 6)
        elif what == "order":
            self.random.shuffle(self.order)
        elif what == "moved":
            self.rows = f"rows-{self.random.randrange(8)}.csv"
        elif what == "said as by default":
            self.depth = self.depth or 3
        return what

    def write(self, folder: Path, what: str) -> None:
        """Write the project; every file of it is another one each time, with another time."""
        said = {**self.means, **self.marks, "rows": self.rows}
        said["named"] = f'.named("fit-{self.marks["named"]}")'
        body = "".join(STEP[name].format(**said) for name in self.order)
        files = {
            "pipeline.py": HEAD.format(**said) + body + TAIL.format(**said),
            "helper.py": HELPER.format(note="what steps share", factor=said["factor"]),
            "tiffin.toml": PROJECT,
            self.rows: f"a,b\n{self.data},1\n",
        }
        if what == "beside":
            files["notes.md"] = str(self.clock)
        self.clock += 1
        for name, text in files.items():
            path = folder / name
            path.unlink(missing_ok=True)
            path.write_text(text)
            path.chmod(0o600 if what == "rights" else 0o644)
            os.utime(path, (1_700_000_000 + self.clock, 1_700_000_000 + self.clock))


class Played:
    """A workbench that gives what is true of each step, and counts what it is asked to do."""

    def __init__(self, home: Home, folder: Path, state: State) -> None:
        self._home, self._folder, self._state = home, folder, state
        self.done: dict[str, int] = {}

    def identity(self, step: Step) -> dict[str, str]:
        """The environment that is played, and the step's own code as containers have it."""
        assert isinstance(step.does, Function)
        code = code_of(self._folder, self._home, ("pipeline.py", "helper.py"))
        own = step_code(self._home.records("step-code"), code, step.does.module, step.does.name)
        return {"environment": str(Digest.of(f"{self._state.environment}".encode())), "code": str(own.code.digest)}

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:  # noqa: ARG002 - nothing to say
        """Give what is true."""
        name = order.step.name
        self.done[name] = self.done.get(name, 0) + 1
        for output, port in order.step.outputs.items():
            place = order.folder / (VALUES if port.is_parameter else FILES)
            place.mkdir(exist_ok=True)
            (place / output).write_text("1" if port.is_parameter else self._state.truth()[name])
        return Ended()


class Count(msgspec.Struct):
    """How often a step was looked at, kept, kept though it would give something else, done though it gave that before.

    `beside` is how often the latter was for another file, which it has and does not use.
    """

    steps: int = 0
    kept: int = 0
    false_hits: int = 0
    false_misses: int = 0
    beside: int = 0


def mutate(scratch: Path, times: int, seed: int = 1) -> Count:
    """Change a project so often, run it each time, and count."""
    home, folder = Home.of({"TIFFIN_HOME": str(scratch / "home")}), scratch / "changes"
    folder.mkdir(parents=True)
    state, count = State(random.Random(seed)), Count()  # noqa: S311 - a seed makes the same changes again
    seen: dict[str, set[str]] = {name: set() for name in STEPS}
    for _ in range(times):
        what = state.change()
        state.write(folder, what)
        bench = Played(home, folder, state)
        _run(home, folder, bench, state)
        for name, truth in state.truth().items():
            count.steps += 1
            count.kept += name not in bench.done
            count.false_hits += name not in bench.done and truth not in seen[name]
            again = name in bench.done and truth in seen[name]
            count.false_misses += again and what != "factor"
            count.beside += again and what == "factor"
            seen[name].add(truth)
    return count


def _run(home: Home, folder: Path, bench: Played, state: State) -> None:
    graph = trace(native_bench(folder, home, ("pipeline.py", "helper.py")), home)
    arguments: Mapping[str, object] = {"depth": state.depth} if state.depth else {}
    contents = Contents(home.records("contents"))

    def look(path: Path, kind: str) -> Input:
        return contents.input(folder / path, kind)

    means = Means(workbench=bench, results=home.results, look=look, changed=contents.changed)
    with begun(home.data / "runs", Planned(graph=graph, arguments=dict(arguments))) as ledger:
        ran = run_pipeline(graph, dict(arguments), means, ledger, RunOptions(jobs=1))
    assert ran.state.value == "succeeded", ran
    for name, task in ran.tasks.items():
        kept = home.results.find(Digest.parse(task.key)) if task.key else None
        if kept and kept.artifacts and name.partition("-")[0] in STEPS:
            (artifact,) = kept.artifacts.values()
            given = home.results.take(artifact).path.read_bytes()
            wanted = state.truth()[name.partition("-")[0]].encode()
            assert hashlib.sha256(given).digest() == hashlib.sha256(wanted).digest(), f"a false hit: {name}"
