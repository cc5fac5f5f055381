"""`tiffin history`: list the revisions of a service."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.table import show
from tiffin.cli.where import place, where_options


@click.command("history")
@click.argument("name")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, *, as_json: bool, **said: Any) -> None:
    """List the revisions of the service NAME that are kept, newest first."""
    from tiffin.api.services.verbs import history

    columns = ("number", "digest", "image", "weight", "ready", "created", "why")
    show(history(name, place(said)), columns, as_json=as_json)
