"""`tiffin pipeline plan`: say which steps would be done, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.pipeline_meant import as_json as encoded

if TYPE_CHECKING:
    from tiffin.api.pipelines.run import Asked


@click.command("plan")
@click.argument("what", type=click.Path(path_type=Path), default=".", metavar="[FOLDER|SPEC.yaml]")
@click.option(
    "-p", "--set", "arguments", multiple=True, metavar="NAME=VALUE", help="The value of a parameter of the pipeline."
)
@click.option("--name", default="", metavar="PIPELINE", help="Which pipeline, where the file has several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@engine_option
def command(*, as_json: bool, **typed: Any) -> None:
    """Say which steps of a pipeline a run would do now, and why; what is unknown depends on what these give."""
    from tiffin.api.pipelines.run import Asked

    show(Asked(**typed), as_json=as_json)


def show(asked: Asked, *, as_json: bool) -> None:
    """Print a plan."""
    from tiffin.api.pipelines.run import plan

    found = plan(asked)
    if as_json:
        click.echo(encoded(found))
        return
    names = max((len(one.task) for one in found), default=0)
    verdicts = max((len(one.verdict) for one in found), default=0)
    for one in found:
        click.echo(f"{one.verdict.ljust(verdicts)}  {one.task.ljust(names)}  {one.why}".rstrip())
