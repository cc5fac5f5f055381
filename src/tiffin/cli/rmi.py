"""`tiffin rmi`: forget names of images."""

from __future__ import annotations

import click


@click.command("rmi")
@click.argument("names", nargs=-1, required=True)
def command(names: tuple[str, ...]) -> None:
    """Forget the images NAMES, and print what they meant; `tiffin prune` deletes what has no name any more."""
    from tiffin.api.images.verbs import remove_images

    for line in remove_images(names):
        click.echo(line)
