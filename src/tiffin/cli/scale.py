"""`tiffin scale`: keep a service at so many replicas."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("scale")
@click.argument("name")
@click.argument("replicas", metavar="N|A-B")
@where_options
def command(name: str, replicas: str, **said: Any) -> None:
    """Keep the service NAME at N replicas, or between A and B as the load decides; no new revision.

    A deploy says it anew: what is to stay goes into `[deploy] replicas` of tiffin.toml.
    """
    from tiffin.api.services.verbs import scale

    scale(name, replicas, place(said))
    click.echo(name)
