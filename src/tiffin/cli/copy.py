"""`tiffin copy`: bring an image from any place to any other."""

from __future__ import annotations

import click


@click.command("copy")
@click.argument("source")
@click.argument("target")
def command(source: str, target: str) -> None:
    """Copy the image SOURCE to TARGET, all platforms of it, and print what it is called there.

    Either is a reference (one without a registry is an image here) or oci:FOLDER:NAME. SOURCE may also be
    oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME].
    """
    from tiffin.api.images.copy import copy

    click.echo(copy(source, target))
