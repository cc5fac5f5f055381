"""`tiffin start`: start containers that were stopped."""

from __future__ import annotations

import click


@click.command("start")
@click.argument("names", nargs=-1, required=True)
def command(names: tuple[str, ...]) -> None:
    """Start the containers NAMES as they were run before, and return when they are ready."""
    from tiffin.api.run import start

    start(names)
    click.echo("\n".join(names))
