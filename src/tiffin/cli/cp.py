"""`tiffin cp`: copy files into a container or out of it."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("cp")
@click.argument("source")
@click.argument("target")
@engine_option
def command(source: str, target: str) -> None:
    """Copy SOURCE to TARGET, one of which is in a container that runs: `NAME:PATH`.

    Into TARGET where that is a folder, else under that very name; `FOLDER/.` means what is in the folder. `-` is a tar
    on standard input or output.
    """
    from tiffin.api.cp import copy

    copy(source, target)
