"""`tiffin load`: take images in from an archive."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("load")
@click.option("-i", "--input", "source", default="-", help="The file; standard input by default.")
def command(source: str) -> None:
    """Take in the images of an archive that tiffin, docker or podman saved, and print their names and digests."""
    from tiffin.api.images.archives import load

    if source == "-":
        if sys.stdin.isatty():
            raise click.UsageError("name the archive with `-i`, or let it come through a pipe")
        click.echo("\n".join(load(sys.stdin.buffer, "standard input")))
        return
    with Path(source).open("rb") as file:
        click.echo("\n".join(load(file, source)))
