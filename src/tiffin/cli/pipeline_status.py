"""`tiffin pipeline status`: show how a run is."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.pipeline_meant import as_json as encoded
from tiffin.cli.pipeline_meant import meant, meant_options


@click.command("status")
@click.argument("run", default="")
@meant_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: str, *, as_json: bool, **said: Any) -> None:
    """Show how RUN is, the latest by default: its steps, what became of each, and what they wait for."""
    from tiffin.api.pipelines.runs import marks_of, status
    from tiffin.cli.screen import colourful
    from tiffin.pipeline.pictures.frames import framed
    from tiffin.pipeline.pictures.text import lines

    found, graph = status(meant(said), run)
    if as_json:
        click.echo(encoded(found))
        return
    why = f": {found.why}" if found.why else ""
    click.echo(f"{found.id} {found.state}{why}")
    click.echo("\n".join(lines(framed(graph, marks_of(found)), colour=colourful())))
