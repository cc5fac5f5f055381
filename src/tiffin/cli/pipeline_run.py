"""`tiffin pipeline run`: do the steps of a pipeline whose results are not there yet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.pipeline_meant import as_json as encoded

if TYPE_CHECKING:
    from tiffin.api.pipelines.run import Asked
    from tiffin.cli.pipeline_progress import Steps
    from tiffin.pipeline.running.runs import Run


@click.command("run")
@click.argument("what", type=click.Path(path_type=Path), default=".", metavar="[FOLDER|SPEC.yaml]")
@click.option(
    "-p", "--set", "arguments", multiple=True, metavar="NAME=VALUE", help="The value of a parameter of the pipeline."
)
@click.option("--name", default="", metavar="PIPELINE", help="Which pipeline, where the file has several.")
@click.option("--native", is_flag=True, help="Do steps in this very process, one at a time, for a debugger.")
@click.option("--here", is_flag=True, help="Do steps in processes of this container, of a pipeline image.")
@click.option("--network", is_flag=True, help="Give the steps of a compiled pipeline a network, as a cluster does.")
@click.option("--jobs", type=click.IntRange(min=1), help="Steps at once; one a processor by default.")
@click.option("--force", multiple=True, metavar="STEP", help="Do this step though its result is there.")
@click.option("--until", multiple=True, metavar="STEP", help="Do this step and what it needs, and nothing else.")
@click.option("--fail-fast", is_flag=True, help="Begin nothing more when a step has failed.")
@click.option("--cache", metavar="REPOSITORY", help="Share results in this repository of a registry; '' shares none.")
@click.option("--wait", is_flag=True, help="In a pod: wait for another one that runs the pipeline.")
@click.option("--plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@engine_option
def command(*, plan: bool, as_json: bool, **typed: Any) -> None:
    """Run the pipeline of FOLDER, or a compiled one: each step in a container, unless its result is there.

    Prints what the pipeline gives, one line for each output. A step is done again when its environment, its code, its
    parameters or the content of what it reads has changed; `tiffin pipeline why STEP` says which.
    """
    from tiffin.cli.pipeline_progress import Steps, finished

    asked = _asked(typed)
    if plan:
        from tiffin.cli.pipeline_plan import show

        show(asked, as_json=as_json)
        return
    ran = _run(asked, Steps())
    click.echo(encoded(ran) if as_json else "".join(_outputs(ran)), nl=as_json)
    finished(ran, asked)


def _asked(typed: dict[str, Any]) -> Asked:
    from tiffin.api.pipelines.run import Asked
    from tiffin.pipeline.running.means import RunOptions

    options = RunOptions(
        jobs=typed.pop("jobs") or 0,
        fail_fast=typed.pop("fail_fast"),
        force=frozenset(typed.pop("force")),
        until=typed.pop("until"),
    )
    return Asked(options=options, **typed)


def _run(asked: Asked, steps: Steps) -> Run:
    from tiffin.api.pipelines.run import run
    from tiffin.pipeline.running.run import stopped_by_signals

    aside = _to_stderr() if asked.native else nullcontext()
    with stopped_by_signals() as stopped, steps.instead(), aside:
        return run(asked, steps.told, stopped)


@contextmanager
def _to_stderr() -> Iterator[None]:
    """Have what steps in this process print, and what they call, not be taken for what the pipeline gives."""
    sys.stdout.flush()
    before = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(before, 1)
        os.close(before)


def _outputs(ran: Run) -> list[str]:
    """A line for each output: a value, or an artifact's digest."""
    return [f"{name} {_said(given)}\n" for name, given in ran.outputs.items()]


def _said(given: Any) -> str:
    if isinstance(given, dict) and "digest" in given:
        return str(given["digest"])
    return given if isinstance(given, str) else encoded(given)
