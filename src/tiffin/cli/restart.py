"""`tiffin restart`: stop containers and start them again."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("restart")
@click.argument("names", nargs=-1, required=True)
@click.option("-t", "--time", "seconds", type=float, default=None, help="Seconds until it is killed.  [default: 10]")
@engine_option
def command(names: tuple[str, ...], seconds: float | None) -> None:
    """Stop the containers NAMES as `stop` does, start them, and return when they are ready."""
    from tiffin.api.run import restart

    restart(names, seconds)
    click.echo("\n".join(names))
