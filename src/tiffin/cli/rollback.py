"""`tiffin rollback`: go back to an earlier revision of a service."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("rollback")
@click.argument("name")
@click.argument("revision", type=int, required=False)
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, revision: int | None, *, as_json: bool, **said: Any) -> None:
    """Go back to a REVISION of the service NAME, by its number in `tiffin history`; by default to the one before.

    A canary that is there is given up instead. The number of replicas stays as it is.
    """
    from tiffin.api.services.verbs import rollback
    from tiffin.cli.service import print_status

    print_status(rollback(name, revision, place(said)), as_json=as_json)
