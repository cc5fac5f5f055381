"""`tiffin ps`: list containers."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.table import show


@click.command("ps")
@click.option("-a", "--all", "ended", is_flag=True, help="Also those that ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@engine_option
def command(*, ended: bool, as_json: bool) -> None:
    """List the containers that run."""
    from tiffin.api.containers.verbs import containers

    show(containers(ended=ended), ("name", "image", "status", "ports"), as_json=as_json)
