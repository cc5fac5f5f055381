"""`tiffin up`: keep services on this machine."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("up")
@click.option("--systemd", is_flag=True, help="Print a unit that has systemd do so, and start nothing.")
@engine_option
def command(*, systemd: bool) -> None:
    """Keep the services of this machine as they are wanted (`tiffin deploy --to local`), until interrupted.

    The services go on without it; the next one finds them again.
    """
    from tiffin.api.up import unit, up

    if systemd:
        click.echo(unit())
    else:
        up(lambda sentence: click.echo(sentence, err=True))
