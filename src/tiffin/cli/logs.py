"""`tiffin logs`: show what a container wrote."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("--since", default="", metavar="TIME", help="Lines since a time, or as long ago as `10m` or `1h30m`.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="At most the last lines that are there.")
@engine_option
def command(name: str, *, follow: bool, since: str, tail: str) -> None:
    """Show what the container NAME wrote: its standard output here too, and its standard error likewise."""
    from tiffin.api.logs import Part, logs

    for line in logs(name, follow=follow, part=Part.of(since=since, tail=tail)):
        click.echo(line.text, err=line.stream == "stderr")
