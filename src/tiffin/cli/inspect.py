"""`tiffin inspect`: show what an image or a container is."""

from __future__ import annotations

import click


@click.command("inspect")
@click.argument("name")
def command(name: str) -> None:
    """Print what is known of the image or container NAME, as JSON."""
    from tiffin.api.inspect import inspect

    click.echo(inspect(name))
