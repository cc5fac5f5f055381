"""`tiffin logs`: show what a container wrote."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@engine_option
def command(name: str, *, follow: bool) -> None:
    """Show what the container NAME wrote: its standard output here too, and its standard error likewise."""
    from tiffin.api.containers import logs

    for line in logs(name, follow=follow):
        click.echo(line.text, err=line.stream == "stderr")
