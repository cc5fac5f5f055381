"""`tiffin rm`: remove containers."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("rm")
@click.argument("names", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Stop one that runs first.")
@engine_option
def command(names: tuple[str, ...], *, force: bool) -> None:
    """Remove the containers NAMES and what they wrote."""
    from tiffin.api.containers.verbs import remove

    remove(names, force=force)
    click.echo("\n".join(names))
