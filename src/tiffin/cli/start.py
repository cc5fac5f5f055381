"""`tiffin start`: start containers that were stopped."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("start")
@click.argument("names", nargs=-1, required=True)
@engine_option
def command(names: tuple[str, ...]) -> None:
    """Start the containers NAMES as they were run before, and return when they are ready."""
    from tiffin.api.containers.run import start

    start(names)
    click.echo("\n".join(names))
