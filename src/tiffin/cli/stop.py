"""`tiffin stop`: stop containers."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("stop")
@click.argument("names", nargs=-1, required=True)
@click.option("-t", "--time", "seconds", type=float, default=None, help="Seconds until it is killed.  [default: 10]")
@engine_option
def command(names: tuple[str, ...], seconds: float | None) -> None:
    """Stop the containers NAMES: they finish what they have begun, then they are killed."""
    from tiffin.api.containers.verbs import stop

    stop(names, seconds)
    click.echo("\n".join(names))
