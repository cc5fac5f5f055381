"""`tiffin logs`: show what a container, or the replicas of a service, wrote."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.where import place, where_options

_COLOURS = tuple(f"\x1b[{number}m" for number in (36, 33, 32, 35, 34, 96, 93, 92, 95, 94))
"""Of one replica after the other; neither red, which means trouble, nor what nobody can read."""


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
    from tiffin.api.containers.logs import Part, logs
    from tiffin.api.services import verbs as services

    where, part = place(said), Part.of(since=since, tail=tail)
    if not services.is_service(name, where):
        for line in logs(name, follow=follow, part=part):
            click.echo(line.text, err=line.stream == "stderr")
        return
    named = Named()
    for replica, line in services.logs(name, where, follow=follow, part=part):
        click.echo(f"{named(replica)}{line.text}", err=line.stream == "stderr")


class Named:
    """Names before lines: as wide as the widest so far, and on a terminal each in a colour of its own."""

    def __init__(self) -> None:
        from tiffin.cli.screen import colourful

        self._colours: dict[str, str] | None = {} if colourful() else None
        self._width = 0

    def __call__(self, name: str) -> str:
        """What is put before a line of this one."""
        self._width = max(self._width, len(name))
        if self._colours is None:
            return f"{name.ljust(self._width)}  "
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"{colour}{name.ljust(self._width)}\x1b[0m  "
