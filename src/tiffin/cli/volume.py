"""`tiffin volume`: the volumes of an engine."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.table import show


@click.group("volume")
def command() -> None:
    """List and remove volumes: what `tiffin run -v NAME:/path` keeps when containers go."""


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@engine_option
def _list(*, as_json: bool) -> None:
    """List the volumes that were made for containers, and which containers have them."""
    from tiffin.api.containers.volumes import volumes

    show(volumes(), ("name", "containers"), as_json=as_json)


@command.command("rm")
@click.argument("names", nargs=-1, required=True)
@engine_option
def _remove(names: tuple[str, ...]) -> None:
    """Delete the volumes NAMES and what is in them; one that a container has is refused."""
    from tiffin.api.containers.volumes import remove

    remove(names)
    click.echo("\n".join(names))
