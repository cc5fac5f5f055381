"""`pipeline run` and `pipeline plan`: a project's steps, wired to this machine's containers, store and registries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event as Stopped
from typing import TYPE_CHECKING, Any

import msgspec

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.runs import is_spec, place_of
from tiffin.config.pipeline import PipelineSection
from tiffin.config.read import read_project
from tiffin.errors import ConfigError, NotFoundError
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.results import Results
from tiffin.pipeline.running.ledger import Event, Planned, begun
from tiffin.pipeline.running.means import Means, RunOptions, Sweep
from tiffin.pipeline.running.runs import Run, Runs
from tiffin.pipeline.workbench import Input, Workbench

if TYPE_CHECKING:
    from tiffin.pipeline.benches.containers import ContainerBench
    from tiffin.pipeline.benches.native import NativeBench
    from tiffin.pipeline.benches.processes import ProcessBench
    from tiffin.pipeline.keeping.kept import KeptResults
    from tiffin.pipeline.running.plan import Plan


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is typed: of which pipeline, with which arguments (`NAME=VALUE`), how, and with what is shared.

    `native` does steps in this very process, `here` in processes of this very container. Nothing for `cache` leaves it
    to tiffin.toml; "" is this machine alone. `network` gives one to all steps of a compiled pipeline. `wait` waits for
    another pod of a cluster that runs it.
    """

    what: Path = Path()
    name: str = ""
    arguments: tuple[str, ...] = ()
    native: bool = False
    here: bool = False
    network: bool = False
    wait: bool = False
    cache: str | None = None
    options: RunOptions = RunOptions()


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline that can be run: its graph, a value for each parameter, what it is done with, where its runs are."""

    graph: Graph
    arguments: dict[str, Any]
    means: Means
    options: RunOptions
    place: Path
    wait: bool = False


def run(asked: Asked, told: Callable[[Event], None], stopped: Stopped) -> Run:
    """Run a pipeline and say how that went; a step that fails raises nothing.

    `told` hears of every event; `stopped` ends the run before its end. Raises ConflictError where it is being run.
    """
    return run_opened(open_pipeline(asked), told, stopped)


def run_opened(opened: Opened, told: Callable[[Event], None], stopped: Stopped) -> Run:
    """Run a pipeline that is open, as `run` does."""
    from tiffin.api.pipelines.turn import turn
    from tiffin.pipeline.running.run import run_pipeline, schedule_options

    schedule_options(opened.graph, opened.options)
    _look_at_data(opened)
    planned, sweep = Planned(graph=opened.graph, arguments=opened.arguments), opened.means.sweep
    taken = turn(stopped, wait=opened.wait)
    with taken, begun(opened.place, planned, told=told, sweep=sweep) as ledger:
        return run_pipeline(opened.graph, opened.arguments, opened.means, ledger, opened.options, stopped)


def _look_at_data(opened: Opened) -> None:
    """See that every file and folder that was named is there; raises NotFoundError before anything is done."""
    for name, port in opened.graph.parameters.items():
        given = opened.arguments.get(name)
        if port.is_parameter or given is None:
            continue
        for path in given if port.many else [given]:
            try:
                opened.means.look(Path(path), port.type)
            except NotFoundError as error:
                hint = f"`-p {name}=PATH` names what is"
                raise NotFoundError(f"{opened.graph.name}'s {name}: {error.message}", hint) from error


def plan(asked: Asked) -> list[Plan]:
    """Say what a run would do now, and why, without doing anything."""
    from tiffin.pipeline.running.plan import plan_pipeline

    opened = open_pipeline(asked)
    last = Runs(opened.place).last()
    return plan_pipeline(opened.graph, opened.arguments, opened.means, last, opened.options)


def open_pipeline(asked: Asked) -> Opened:
    """Read a pipeline and wire it; raises ConfigError, with file and line, for what cannot be run."""
    from tiffin.pipeline.meaning.check import check_arguments

    opened = _checked(asked)
    arguments = check_arguments(opened.graph, opened.arguments)
    return msgspec.structs.replace(opened, arguments=arguments, wait=asked.wait)


def graph_of(asked: Asked) -> Graph:
    """The graph of a pipeline, whatever it would be run with."""
    return _checked(asked).graph


def _checked(asked: Asked) -> Opened:
    from tiffin.pipeline.meaning.check import check

    home = Home.of()
    opened = _spec(asked, home) if is_spec(asked.what) else _project(asked, home)
    check(opened.graph)
    return opened


def _project(asked: Asked, home: Home) -> Opened:
    """The pipeline of a project's folder."""
    from tiffin.api.machine.engines import engine_name
    from tiffin.api.pipelines.actions import Actions, Bound, OnlyPresent
    from tiffin.api.pipelines.environment import trace

    if asked.network:
        raise ConfigError("steps of pipeline.py say themselves what they need", "write `@step(network=True)`")
    _, project = read_project(asked.what, needs_model=False)
    section, folder = project.pipeline, asked.what.resolve()
    if not (folder / section.file).is_file():
        raise NotFoundError(
            f"{asked.what} has no {section.file}",
            "write a function under `@pipeline` there, or name its file in `[pipeline] file`",
        )
    include = (section.file, *section.include)
    bench = _bench(asked, folder, home, include)
    graph = trace(bench, home, section.file.removesuffix(".py"), asked.name or section.name)
    if asked.here:
        from tiffin.api.pipelines.here import refuse_others

        refuse_others(graph)
    actions = Actions(bench, Bound(folder=folder, home=home, engine=engine_name()))
    results = OnlyPresent(_results(asked, section, home), home)
    return Opened(
        graph=graph,
        arguments={**section.arguments, **typed_arguments(asked.arguments)},
        means=_means(actions, results, folder, home, bench.sweep),
        options=_options(asked, section),
        place=place_of(home, project.name, graph.name),
    )


def _bench(
    asked: Asked, folder: Path, home: Home, include: tuple[str, ...]
) -> ContainerBench | NativeBench | ProcessBench:
    """Where the steps of a project are done."""
    if asked.here:
        from tiffin.api.pipelines.here import here_bench

        if asked.native:
            raise ConfigError(
                "steps are done in processes of their own, or in this one", "leave `--native` or `--here` out"
            )
        return here_bench(folder, home, include)
    from tiffin.api.pipelines.environment import container_bench, native_bench

    return native_bench(folder, home, include) if asked.native else container_bench(folder, home, include)


def _spec(asked: Asked, home: Home) -> Opened:
    """A pipeline that was compiled for Kubeflow."""
    from tiffin.api.pipelines.specs import read_compiled, spec_bench

    if asked.native or asked.here or asked.name:
        raise ConfigError(
            f"{asked.what} is compiled: it is one pipeline, of containers",
            "leave `--native`, `--here` and `--name` out",
        )
    reading = read_compiled(asked.what, network=asked.network)
    place = place_of(home, "", reading.graph.name)
    bench = spec_bench(reading, home, place, network=asked.network)
    return Opened(
        graph=reading.graph,
        arguments=typed_arguments(asked.arguments),
        means=_means(bench, _results(asked, PipelineSection(), home), Path.cwd(), home, bench.sweep),
        options=asked.options,
        place=place,
    )


def _means(bench: Workbench, results: Results, folder: Path, home: Home, sweep: Sweep) -> Means:
    """What a run is done with; paths of arguments begin in the project's folder."""
    contents = home.contents

    def look(path: Path, kind: str) -> Input:
        return contents.input(folder / path, kind)

    return Means(workbench=bench, results=results, look=look, changed=contents.changed, sweep=sweep, gpus=_gpus)


def _gpus() -> tuple[str, ...]:
    from tiffin.api.containers.needs import gpus_here

    return gpus_here()


def _results(asked: Asked, section: PipelineSection, home: Home) -> Results:
    """Results of this machine, and of all that share a repository where one is named."""
    local = home.results
    name = section.cache if asked.cache is None else asked.cache
    return _shared(local, name, home) if name else local


def _shared(local: KeptResults, name: str, home: Home) -> Results:
    from tiffin.api.images.push import open_repository
    from tiffin.oci.reference import Reference
    from tiffin.pipeline.keeping.shared import SharedResults

    reference = Reference.parse(name)
    if not reference.registry or reference.tag or reference.digest:
        raise ConfigError(f"{name!r} is no repository to share results in", "write it as REGISTRY/NAME, without a tag")
    return SharedResults(local, open_repository(reference, home), reference.name, home.records("pushed-results"))


def _options(asked: Asked, section: PipelineSection) -> RunOptions:
    if asked.native:
        return msgspec.structs.replace(asked.options, jobs=1)
    return msgspec.structs.replace(asked.options, jobs=asked.options.jobs or section.jobs)


def typed_arguments(texts: tuple[str, ...]) -> dict[str, Any]:
    """Read `NAME=VALUE`s; raises ConfigError for what is none, and for a name that is given twice."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"not an argument: {text!r}", "write it as `-p depth=5`")
        if name in found:
            raise ConfigError(f"{name} is given twice: {found[name]!r} and {value!r}", "give it once")
        found[name] = value
    return found
