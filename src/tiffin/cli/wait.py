"""`tiffin wait`: wait for containers to end."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("wait")
@click.argument("names", nargs=-1, required=True)
@engine_option
def command(names: tuple[str, ...]) -> None:
    """Wait until the containers NAMES have ended, and print the exit code of each."""
    from tiffin.api.containers.verbs import wait

    for code in wait(names):
        click.echo(code)
