"""`tiffin cp`: copy files into a container, or a replica of a service, or out of it."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.where import place, where_options


@click.command("cp")
@click.argument("source")
@click.argument("target")
@click.option("--replica", default="", metavar="REPLICA", help="Of a service: this one; any that is ready by default.")
@where_options
@engine_option
def command(source: str, target: str, replica: str, **said: Any) -> None:
    """Copy SOURCE to TARGET, one of which is in a container that runs: `NAME:PATH`.

    Into TARGET where that is a folder, else under that very name; `FOLDER/.` means what is in the folder. `-` is a tar
    on standard input or output. NAME may be a service, whose replica is then meant, as in `tiffin exec`.
    """
    from tiffin.api.reaching.cp import copy
    from tiffin.api.reaching.reach import Reach

    copy(source, target, Reach(where=place(said), replica=replica))
