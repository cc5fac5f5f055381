"""`tiffin save`: write images to one file."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("save")
@click.argument("images", nargs=-1, required=True)
@click.option("-o", "--output", default="-", help="The file; standard output, which must be no terminal, by default.")
def command(images: tuple[str, ...], output: str) -> None:
    """Write IMAGES as one tar, which docker, podman, containerd, skopeo and tiffin load."""
    from tiffin.api.images.archives import save, save_file

    if output != "-":
        save_file(images, Path(output))
        return
    if sys.stdout.isatty():
        raise click.UsageError("an archive is nothing to look at: name a file with `-o`, or use a pipe")
    save(images, sys.stdout.buffer)
    sys.stdout.buffer.flush()
