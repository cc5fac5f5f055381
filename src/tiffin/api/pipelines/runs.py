"""Runs of pipelines, looked at while they go on or afterwards: how they are, why steps were done, what these wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tiffin.api.machine.home import Home
from tiffin.config.read import read_project
from tiffin.errors import NotFoundError
from tiffin.oci.store import Store
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.meaning.outline import task_of
from tiffin.pipeline.running.ledger import run_ids
from tiffin.pipeline.running.runs import Run, Runs, RunState, TaskRun
from tiffin.pipeline.running.spots import State

if TYPE_CHECKING:
    from tiffin.pipeline.pictures.frames import Frame, Mark
    from tiffin.pipeline.pictures.plot import Measured

_PAUSE = 0.1
"""Seconds between two looks at a log that is followed."""
_METRICS = "Metrics"


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline, as it is typed: a project's folder or a compiled spec, and which one where there are several."""

    what: Path = Path()
    name: str = ""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as a list shows it; `began` is seconds since 1970, `seconds` how long it took so far."""

    run: str
    pipeline: str
    state: RunState
    began: float
    seconds: float
    steps: dict[str, int]
    why: str = ""


class Because(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task was done or kept in a run: what of its key is other than in the run `before`, if there is one."""

    task: str
    run: str
    before: str = ""
    state: State
    kept: bool = False
    changes: tuple[str, ...] = ()
    why: str = ""


def is_spec(path: Path) -> bool:
    """Whether it is a compiled pipeline, and no project's folder."""
    return path.suffix in {".yaml", ".yml", ".json"} and not path.is_dir()


def place_of(home: Home, project: str, pipeline: str) -> Path:
    """Where the runs of a pipeline are kept: two projects may each have one called `retrain`."""
    return home.pipelines / (f"{project}.{pipeline}" if project else pipeline)


def runs_of(meant: Meant, home: Home | None = None) -> Runs:
    """The runs of a pipeline; raises NotFoundError where it was never run."""
    home = home or Home.of()
    if is_spec(meant.what):
        from tiffin.api.pipelines.specs import name_of

        return _ran(Runs(place_of(home, "", name_of(meant.what))), meant)
    _, project = read_project(meant.what, needs_model=False)
    name = (meant.name or project.pipeline.name).replace("_", "-")
    if name:
        return _ran(Runs(place_of(home, project.name, name)), meant)
    found = [Runs(folder) for folder in home.pipelines.glob(f"{project.name}.*") if run_ids(folder)]
    if not found:
        raise _never(meant)
    return max(found, key=lambda runs: runs.ids()[-1])


def _ran(runs: Runs, meant: Meant) -> Runs:
    if not runs.ids():
        raise _never(meant)
    return runs


def _never(meant: Meant) -> NotFoundError:
    called = f" called {meant.name!r}" if meant.name else ""
    return NotFoundError(f"no pipeline{called} of {meant.what} has been run", f"`tiffin pipeline run {meant.what}`")


def status(meant: Meant, run: str = "") -> tuple[Run, Graph]:
    """A run, the latest unless one is named, and the graph that it is a run of."""
    runs = runs_of(meant)
    found = runs.read(run or runs.ids()[-1])
    return found, runs.planned(found.id).graph


def history(meant: Meant) -> list[RunRow]:
    """The runs of a pipeline, the latest first."""
    runs = runs_of(meant)
    return [_row(runs.read(run)) for run in reversed(runs.ids())]


def _row(run: Run) -> RunRow:
    counted: dict[str, int] = {}
    for task in run.tasks.values():
        word = mark_of(task).state
        counted[word] = counted.get(word, 0) + 1
    ended = run.ended or (time.time() if run.state is RunState.RUNNING else _last(run))
    return RunRow(
        run=run.id,
        pipeline=run.pipeline,
        state=run.state,
        began=run.began,
        seconds=max(ended - run.began, 0.0),
        steps=counted,
        why=run.why,
    )


def _last(run: Run) -> float:
    """When a run that was killed was last heard of."""
    return max((max(task.began, task.ended) for task in run.tasks.values()), default=run.began)


def why(meant: Meant, step: str, run: str = "") -> list[Because]:
    """Why a step was done in a run, for each task that is meant: what changed since the run before that did it."""
    runs = runs_of(meant)
    this = runs.read(run or runs.ids()[-1])
    origins = {task.name: task for task in runs.planned(this.id).graph.tasks()}
    earlier = [known for known in reversed(runs.ids()) if known < this.id]
    return [_because(task, this, runs, earlier, origins) for task in _meant(this, step)]


def _because(task: TaskRun, this: Run, runs: Runs, earlier: list[str], written: dict[str, Any]) -> Because:
    from tiffin.pipeline.keeping.why import changes, origins_of

    told = Because(task=task.task, run=this.id, state=task.state, kept=task.cached, why=task.why)
    if not task.document:
        return told
    for run in earlier:
        before = runs.read(run).tasks.get(task.task)
        if before and before.document:
            origins = origins_of(written[task_of(task.task)])
            found = changes(before.document.encode(), task.document.encode(), origins)
            return msgspec.structs.replace(told, before=run, changes=tuple(found))
    return told


def _meant(run: Run, step: str) -> list[TaskRun]:
    """The tasks of a run that a name means: one, or all rounds of one in a loop; raises NotFoundError."""
    found = [task for name, task in run.tasks.items() if step in {name, task_of(name)}]
    if not found:
        known = ", ".join(dict.fromkeys(map(task_of, run.tasks))) or "none has begun"
        raise NotFoundError(f"run {run.id} of {run.pipeline} has no step {step!r}", f"its steps: {known}")
    return found


def logs(meant: Meant, step: str, run: str = "", *, follow: bool = False) -> Iterator[str]:
    """What the attempts at a step wrote, line by line; of one that was kept, in the run that did it."""
    runs = runs_of(meant)
    this = runs.read(run or runs.ids()[-1])
    for task in _meant(this, step):
        yield from _lines(runs, *_made_in(runs, this, task), follow=follow and task.state is State.RUNNING)


def _made_in(runs: Runs, this: Run, task: TaskRun) -> tuple[str, str]:
    """The run and the task in which a result was made."""
    if not task.cached:
        return this.id, task.task
    for run in reversed(runs.ids()):
        for other in runs.read(run).tasks.values():
            if other.key == task.key and not other.cached and other.state is State.SUCCEEDED:
                return run, other.task
    raise NotFoundError(
        f"{task.task} was kept, and what it wrote when it was done is not on this machine",
        f"`tiffin pipeline run --force {task_of(task.task)}` does it again",
    )


def _lines(runs: Runs, run: str, task: str, *, follow: bool) -> Iterator[str]:
    """The lines of each attempt, under a title where there are several; `follow` goes on until the task has ended."""
    seen: dict[Path, int] = {}
    while True:
        over = not follow or runs.read(run).tasks[task].state not in {State.RUNNING, State.WAITING}
        for number, path in enumerate(runs.logs(run, task), 1):
            if path not in seen and number > 1:
                yield f"--- attempt {number}"
            with path.open("rb") as file:
                file.seek(seen.get(path, 0))
                data = file.read()
            whole = data if over else data[: data.rfind(b"\n") + 1]
            seen[path] = seen.get(path, 0) + len(whole)
            yield from whole.decode("utf-8", "replace").splitlines()
        if over:
            return
        time.sleep(_PAUSE)


def mark_of(task: TaskRun) -> Mark:
    """How a task is, as pictures and lists say it."""
    from tiffin.pipeline.pictures.frames import Mark

    if task.state is State.SUCCEEDED:
        return Mark(state="kept") if task.cached else Mark(state="done", seconds=task.seconds)
    if task.state in {State.SKIPPED, State.BLOCKED}:
        return Mark(state="skipped", why=task.why)
    if task.state is State.FAILED:
        return Mark(state="failed", seconds=task.seconds, why=task.why)
    if task.state is State.STOPPED:
        return Mark(state="stopped", why=task.why)
    return Mark(state="running" if task.state is State.RUNNING else "waiting")


def marks_of(run: Run) -> dict[str, tuple[Mark, ...]]:
    """How the tasks of a run are, by their names in the graph; one in a loop has a mark for each round."""
    marks: dict[str, tuple[Mark, ...]] = {}
    for name, task in run.tasks.items():
        marks[task_of(name)] = (*marks.get(task_of(name), ()), mark_of(task))
    return marks


def metrics(meant: Meant) -> list[Measured]:
    """What each run measured, the oldest first: the numbers of all its metrics."""
    from tiffin.pipeline.pictures.plot import Measured

    runs, store = runs_of(meant), Home.of().store
    found = [(run, _numbers(runs.read(run), store)) for run in runs.ids()]
    return [Measured(run=run, numbers=numbers) for run, numbers in found if numbers]


def _numbers(run: Run, store: Store) -> dict[str, float]:
    from tiffin.pipeline.keeping.artifact import blob_of

    numbers: dict[str, float] = {}
    for name, task in run.tasks.items():
        for artifact in task.artifacts.values():
            if artifact.type != _METRICS or artifact.folder or not store.exists(blob_of(artifact)):
                continue
            with store.open(blob_of(artifact)) as blob:
                said = msgspec.json.decode(blob.read())
            numbers |= {f"{name}.{key}": float(value) for key, value in said.items()}
    return numbers


def framed_run(meant: Meant, run: str = "") -> tuple[Frame, str]:
    """A run, ready to be drawn, and a line below it; a pipeline that was never run, as it is written."""
    from tiffin.pipeline.pictures.frames import framed
    from tiffin.pipeline.pictures.words import took

    try:
        found, graph = status(meant, run)
    except NotFoundError:
        if run:
            raise
        from tiffin.api.pipelines.run import Asked, graph_of

        return framed(graph_of(Asked(what=meant.what, name=meant.name))), ""
    return framed(graph, marks_of(found)), f"run {found.id}: {found.state}, {took(_row(found).seconds)}"


def plotted(meant: Meant) -> str:
    """What was measured in all runs as SVG; raises NotFoundError where nothing was."""
    from tiffin.pipeline.pictures.plot import plot

    found = metrics(meant)
    if not found:
        raise NotFoundError(
            f"no run of {meant.what} measured anything", "give a step an `Output[Metrics]`, and `scores.log(…)` in it"
        )
    return plot(runs_of(meant).folder.name, found)
