"""`tiffin logs`: show what a container, or the replicas of a service, wrote."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.where import place, where_options


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("--since", default="", metavar="TIME", help="Lines since a time, or as long ago as `10m` or `1h30m`.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="At most the last lines that are there.")
@where_options
@engine_option
def command(name: str, *, follow: bool, since: str, tail: str, **said: Any) -> None:
    """Show what the container NAME wrote: its standard output here too, and its standard error likewise.

    A service is meant where a place is said, or where a service was deployed by that name and no container has it: each
    line then begins with its replica, and `--follow` goes on over replicas that come and go.
    """
    from tiffin.api import services
    from tiffin.api.logs import Part, logs

    where, part = place(said), Part.of(since=since, tail=tail)
    if not services.is_service(name, where):
        for line in logs(name, follow=follow, part=part):
            click.echo(line.text, err=line.stream == "stderr")
        return
    for replica, line in services.logs(name, where, follow=follow, part=part):
        click.echo(f"{replica}  {line.text}", err=line.stream == "stderr")
