"""`tiffin delete`: let go of services."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("delete")
@click.argument("names", nargs=-1, required=True)
@where_options
def command(names: tuple[str, ...], **said: Any) -> None:
    """Let go of the services NAMES and of all that belongs to them; data, Secrets and claims stay."""
    from tiffin.api.services.verbs import delete

    where = place(said)
    for name in names:
        delete(name, where)
        click.echo(name)
