"""`tiffin kill`: send containers a signal."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("kill")
@click.argument("names", nargs=-1, required=True)
@click.option("-s", "--signal", default="KILL", help="The signal, by name or number.  [default: KILL]")
@engine_option
def command(names: tuple[str, ...], signal: str) -> None:
    """Send the programs of the containers NAMES a signal; without `-s` they end at once."""
    from tiffin.api.containers.verbs import kill

    kill(names, signal)
    click.echo("\n".join(names))
