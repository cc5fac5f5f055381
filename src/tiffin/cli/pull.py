"""`tiffin pull`: bring an image from a registry."""

from __future__ import annotations

import click


@click.command("pull")
@click.argument("reference")
def command(reference: str) -> None:
    """Bring the image REFERENCE of a registry here, for this machine's platform, and print its name and digest."""
    from tiffin.api.images.pull import pull

    click.echo(pull(reference))
