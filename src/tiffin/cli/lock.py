"""`tiffin lock`: pin every package of the image."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("lock")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
def command(folder: Path) -> None:
    """Pin every package of FOLDER's image, with hashes, for the image's platform and Python."""
    from tiffin.api.building.lock import lock

    click.echo(lock(folder))
