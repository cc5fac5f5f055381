"""`tiffin pipeline watch`: run a pipeline by its schedule, and for new data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.pipeline_meant import as_json as encoded
from tiffin.cli.pipeline_watch_cluster import cluster_options, on_cluster

if TYPE_CHECKING:
    from tiffin.api.pipelines.run import Asked
    from tiffin.pipeline.running.ledger import Event
    from tiffin.pipeline.running.runs import Run

NOTHING_DUE = 20
"""The exit status of `--once --exit-code` where no run was due."""


@click.command("watch")
@click.argument("what", type=click.Path(path_type=Path), default=".", metavar="[FOLDER]")
@click.option(
    "-p", "--set", "arguments", multiple=True, metavar="NAME=VALUE", help="The value of a parameter of the pipeline."
)
@click.option("--name", default="", metavar="PIPELINE", help="Which pipeline, where the file has several.")
@click.option("--native", is_flag=True, help="Do steps in this very process, one at a time.")
@click.option("--here", is_flag=True, help="Do steps in processes of this container, of a pipeline image.")
@click.option("--jobs", type=click.IntRange(min=1), help="Steps at once; one a processor by default.")
@click.option("--cache", metavar="REPOSITORY", help="Share results in this repository of a registry; `` shares none.")
@click.option("--wait", is_flag=True, help="In a pod, with --once: wait for another one that runs the pipeline.")
@click.option("--once", is_flag=True, help="Look, run if a run is due, and end as the run did.")
@click.option("--exit-code", is_flag=True, help=f"With --once: end with {NOTHING_DUE} where no run was due.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print the run as JSON, null where none was due.")
@click.option("--systemd", is_flag=True, help="Print a unit that has systemd do so, and start nothing.")
@engine_option
@cluster_options
def command(*, once: bool, exit_code: bool, as_json: bool, systemd: bool, **typed: Any) -> None:
    """Run the pipeline of FOLDER whenever `[pipeline] schedule` or new data in `watch` asks for it, until interrupted.

    One run at a time. What was missed meanwhile is caught up by one run; one that was stopped goes on. With --once
    prints the name of the run, if there was one.

    With `--to kubernetes`, or an `--environment` that is a cluster, a CronJob of the cluster does so: the pipeline's
    image is pushed, and the CronJob's name printed.
    """
    from tiffin.api.pipelines.watch import unit

    if on_cluster(typed, local={"once": once, "systemd": systemd, "json": as_json, "exit-code": exit_code}):
        return
    if (exit_code or as_json) and not once:
        raise click.UsageError("--exit-code and --json go with --once")
    asked = _asked(typed)
    if systemd:
        click.echo(unit(asked))
    elif once:
        _once(asked, exit_code=exit_code, as_json=as_json)
    else:
        _watch(asked)


def _asked(typed: dict[str, Any]) -> Asked:
    from tiffin.api.pipelines.run import Asked
    from tiffin.pipeline.running.means import RunOptions

    return Asked(options=RunOptions(jobs=typed.pop("jobs") or 0), **typed)


def _watch(asked: Asked) -> None:
    from tiffin.api.pipelines.watch import watch
    from tiffin.pipeline.running.run import stopped_by_signals

    heard = _Heard(asked)
    with stopped_by_signals() as stopped, heard.steps.instead():
        watch(asked, heard, stopped)


def _once(asked: Asked, *, exit_code: bool, as_json: bool) -> None:
    from tiffin.api.pipelines.watch import run_if_due
    from tiffin.cli.pipeline_progress import finished
    from tiffin.pipeline.running.run import stopped_by_signals

    heard = _Heard(asked)
    with stopped_by_signals() as stopped, heard.steps.instead():
        ran = run_if_due(asked, heard, stopped)
    if as_json or ran:
        click.echo(encoded(ran) if as_json else ran and ran.id)
    if ran:
        finished(ran, asked)
    elif stopped.is_set():
        raise click.Abort
    elif exit_code:
        sys.exit(NOTHING_DUE)


class _Heard:
    """Writes a line for each thing that happens, on stderr."""

    def __init__(self, asked: Asked) -> None:
        from tiffin.cli.pipeline_progress import Steps

        self.steps, self._asked = Steps(), asked

    def said(self, line: str) -> None:
        """Hear a line."""
        from tiffin.progress import say

        say(line)

    def told(self, event: Event) -> None:
        """Hear of one event of a run."""
        self.steps.told(event)

    def over(self, ran: Run) -> None:
        """Say how a run ended; one that failed ends nothing else."""
        from tiffin.cli.pipeline_progress import finished
        from tiffin.errors import CommandError

        try:
            finished(ran, self._asked)
        except click.Abort:
            self.said(f"run {ran.id} was stopped, and goes on next time")
        except CommandError as error:
            self.said(f"run {ran.id} failed: {error.message}")
        else:
            self.said(f"run {ran.id} succeeded")
