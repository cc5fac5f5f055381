"""`tiffin pause`: hold the rollout of a service."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("pause")
@click.argument("name")
@where_options
def command(name: str, **said: Any) -> None:
    """Hold the rollout of the service NAME where it is: what serves goes on, and nothing more is replaced."""
    from tiffin.api.services.verbs import pause

    pause(name, place(said))
    click.echo(name)
