"""`tiffin resume`: go on with the rollout of a service."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("resume")
@click.argument("name")
@where_options
def command(name: str, **said: Any) -> None:
    """Go on with the rollout of the service NAME that `tiffin pause` holds."""
    from tiffin.api.services.verbs import resume

    resume(name, place(said))
    click.echo(name)
