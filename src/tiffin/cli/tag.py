"""`tiffin tag`: give an image one more name."""

from __future__ import annotations

import click


@click.command("tag")
@click.argument("source")
@click.argument("target")
def command(source: str, target: str) -> None:
    """Give the image SOURCE, which is here, the name TARGET too, and print it with the image's digest."""
    from tiffin.api.images.tags import tag

    click.echo(tag(source, target))
