"""The rounds: each builder does everything once, in turn, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .answering import First, first_answers
from .builder import Builder, Runner
from .command import Command, timed
from .memory import peak
from .names import (
    BARE,
    BUILD,
    BUMPED,
    CHANGED,
    COLD,
    FIRST,
    LAYERS,
    LIVE,
    MEMORY,
    NOTHING,
    PUSH,
    RETRAINED,
    RUN,
    SEEN,
    SHARED,
    SIZE,
    TIFFIN,
)
from .project import Project
from .results import Results
from .setting import SIZES, WHOLE, Setting, built_size, pushed_layers, pushed_size
from .tiffin import tiffin

SMALL = 2
"""How often small changes are repeated in a round."""


class Round:
    """One builder's turn."""

    def __init__(self, setting: Setting, builder: Builder, results: Results, name: str) -> None:
        self._setting, self._builder, self._results = setting, builder, results
        self._project = setting.project.copy(f"{name}-{builder.name.replace(', ', '-')}")

    def play(self) -> None:
        """Build from nothing, then after each kind of change, then in other projects."""
        self._first()
        for _ in range(SMALL):
            self._changes()
        self._bump()
        self._project.take(self._setting.project)
        self._elsewhere(SHARED)
        self._builder.forget_images()
        self._elsewhere(SEEN)
        self._check()

    def play_shortly(self) -> None:
        """Build from nothing, then after each kind of change: for peers that take minutes."""
        self._first()
        self._changes()
        self._bump()

    def _first(self) -> None:
        pushed = self._builder.pushed(self._project)
        self._builder.forget()
        self._build(COLD)
        self._results.add(f"{SIZE}: {WHOLE}", self._builder.name, pushed_size(pushed))
        self._results.add(LAYERS, self._builder.name, pushed_layers(pushed))
        self._check(f"{COLD} {RUN}")

    def _changes(self) -> None:
        self._build(NOTHING, push=False)
        self._project.edit()
        self._build(CHANGED)
        self._project.retrain()
        self._build(RETRAINED)

    def _bump(self) -> None:
        self._project.take(self._setting.bumped)
        self._build(BUMPED)
        self._check()

    def _elsewhere(self, phase: str) -> None:
        """Build another project that has the same lock."""
        self._project = self._project.copy(f"{self._project.name}-{len(phase)}")
        self._build(phase)

    def _build(self, phase: str, *, push: bool = True) -> None:
        name, project = self._builder.name, self._project
        self._results.add(f"{phase} {BUILD}", name, timed(self._builder.build(project)))
        if push:
            self._results.add(f"{phase} {PUSH}", name, timed(self._builder.push(project)))

    def _check(self, what: str = "") -> None:
        """Run the image and see that it predicts as the model does."""
        first = _first(self._builder, self._project, [self._builder.run(self._project)])
        if what and isinstance(self._builder, Runner):
            self._results.add(what, self._builder.name, first.correct)


def run_turn(setting: Setting, results: Results, runner: Runner, number: int) -> None:
    """Time how soon a container answers: as built, after an edit, after a retrain; and the same model without one."""
    project = setting.project.copy(f"run-{number}-{runner.name.replace(', ', '-')}")
    runner.build(project).run()
    _time_answers(runner, project, RUN, [runner.run(project)], results)
    project.edit()
    _time_answers(runner, project, CHANGED, runner.update(project), results)
    project.retrain()
    _time_answers(runner, project, RETRAINED, runner.update(project), results)


def _time_answers(runner: Runner, project: Project, phase: str, commands: Sequence[Command], results: Results) -> None:
    results.add(BARE, BARE, import_and_load(project))
    first = _first(runner, project, commands)
    results.add(f"{phase} {LIVE}", runner.name, first.live)
    results.add(f"{phase} {FIRST}", runner.name, first.correct)


def _first(runner: Builder, project: Project, commands: Sequence[Command]) -> First:
    """Time the first answers of a container, and remove it."""
    expected = project.answers()
    try:
        return first_answers(commands, runner.address, runner.dialect, expected)
    finally:
        for command in runner.remove(project):
            command.run()


def import_and_load(project: Project) -> float:
    """Time a plain interpreter from its start until the model is loaded."""
    began = time.perf_counter()
    command = project.load()
    process = command.start()
    assert process.stdout
    process.stdout.readline()
    seconds = time.perf_counter() - began
    command.finish(process)
    return seconds


def memory_turn(setting: Setting, results: Results, builder: Builder) -> None:
    """Let a builder build from nothing once more, watched."""
    project = setting.project.copy(f"memory-{builder.name.replace(', ', '-')}")
    builder.forget()
    seen = peak(builder.build(project), builder.daemon)
    results.add(f"{MEMORY}, largest process", builder.name, seen.largest)
    results.add(f"{MEMORY}, all together", builder.name, seen.together)


def size_turn(setting: Setting, results: Results) -> None:
    """Build images of few packages and of many, and weigh them."""
    for number, (packages, (dependencies, bytecode)) in enumerate(SIZES.items()):
        project = Project(
            setting.project.folder.with_name(f"size-{number}"), setting.project.python, dependencies, bytecode
        )
        project.write().train("xgboost" if "xgboost" in packages else "logistic")
        built = tiffin(setting.tiffin.pantry, "build", str(project.folder)).run()
        results.add(f"{SIZE}: {packages}", TIFFIN, built_size(setting.tiffin.pantry, built))
