"""`tiffin pipeline logs`: show what a step wrote."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.pipeline_meant import as_json as encoded
from tiffin.cli.pipeline_meant import meant, meant_options


@click.command("logs")
@click.argument("step")
@click.argument("run", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the step has ended.")
@meant_options
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON text.")
def command(step: str, run: str, *, follow: bool, as_json: bool, **said: Any) -> None:
    """Show what STEP wrote in RUN, the latest by default; of a step that was kept, where it was done."""
    from tiffin.api.pipelines.runs import logs

    for line in logs(meant(said), step, run, follow=follow):
        click.echo(encoded(line) if as_json else line)
